r"""Text from outside (names of layers, folders, options) as it may stand in C, in Markdown: one function for each place.

JSON needs none: ``json.dumps`` escapes. A file is always UTF-8; what goes into C is ASCII, so that it means the same to every
compiler.

>>> c_comment("conv*/ int x; /*")
'conv* / int x; / *'
>>> c_comment("Schicht ü\n")
'Schicht <U+00FC><U+000A>'
>>> markdown_cell("a|b*\nc")
'a\\|b\\* c'
>>> markdown_code("echo `date`")
'`` echo `date` ``'
"""

from __future__ import annotations

import re

from reds_jax.errors import InvalidArgumentError

_KEYWORDS = frozenset("""
    auto break case char const continue default do double else enum extern float for goto if inline int long register restrict
    return short signed sizeof static struct switch typedef union unsigned void volatile while
    alignas alignof and and_eq asm atomic bitand bitor bool catch class compl concept consteval constexpr constinit
    const_cast decltype delete dynamic_cast explicit export false friend mutable namespace new noexcept not not_eq nullptr
    operator or or_eq private protected public reinterpret_cast requires static_assert static_cast template this
    thread_local throw true try typeid typename typeof using virtual wchar_t xor xor_eq
""".split())
_LONGEST = 20  # C99 tells external names apart by 31 characters; _net_adapt and _net_adapt_to_budget differ in the 11th


def c_comment(text: str) -> str:
    """Text inside a comment of C: printable ASCII that neither opens nor ends a comment, nor makes a trigraph."""
    shown = "".join(c if " " <= c <= "~" else f"<U+{ord(c):04X}>" for c in text)
    return re.sub(r"\*(?=/)|/(?=\*)|\?(?=\?)", r"\g<0> ", shown)


def c_identifier(name: str) -> str:
    """The name, if it may begin the identifiers and the file names of an export.

    Raises:
        InvalidArgumentError: it is no identifier, or one that C or C++ keeps for itself.
    """
    fits = re.fullmatch(r"[a-z][a-z0-9_]*", name) and len(name) <= _LONGEST
    if not fits or "__" in name or name.endswith("_") or name in _KEYWORDS:
        raise InvalidArgumentError("this is no prefix of C identifiers", got=name,
                                   allowed="a lower-case letter, then lower-case letters, digits and single _, at most "
                                           f"{_LONGEST} in all; no word that C or C++ keeps for itself")
    return name


def c_string(text: str) -> str:
    r"""Text as a string constant of C: printable ASCII as it is, all else as the octal bytes of its UTF-8.

    >>> print(c_string('say "ü"'))
    "say \"\303\274\""
    """
    plain = {byte for byte in range(0x20, 0x7F) if chr(byte) not in '"\\?'}
    return '"' + "".join(chr(b) if b in plain else f"\\{chr(b)}" if chr(b) in '"\\?' else f"\\{b:03o}"
                         for b in text.encode()) + '"'


def markdown_cell(text: str) -> str:
    """Text inside a cell of a Markdown table: one line, without markup."""
    line = re.sub(r"[\x00-\x1f\x7f\x85\u2028\u2029]+", " ", text)
    return re.sub(r"[\\`*|<>\[\]&~]", r"\\\g<0>", line)


def markdown_code(text: str) -> str:
    """Text as a code span of Markdown: one line, between more backticks than it has in a row."""
    line = re.sub(r"[\x00-\x1f\x7f\x85\u2028\u2029]+", " ", text)
    fence = "`" * (1 + max(map(len, re.findall(r"`+", line)), default=0))
    return f"{fence} {line} {fence}" if len(fence) > 1 else f"{fence}{line}{fence}"
