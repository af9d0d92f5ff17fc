"""Exact numbers a + b sqrt(d), compared with fractions by integer arithmetic."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from numbers import Rational

from reds_jax.errors import InvalidArgumentError


@dataclass(frozen=True, eq=False)
class Quadratic:
    """The real number a + b sqrt(d), for rational a, b and an integer d >= 0.

    x = a - q and y = b sqrt(d) decide a + b sqrt(d) > q: their signs, and if these differ, x^2 against b^2 d.

    Args:
        a: rational.
        b: rational.
        d: an integer >= 0.

    Raises:
        InvalidArgumentError: if d is not an integer >= 0, or a or b is not rational.

    >>> root = Quadratic(0, 1, 2)
    >>> root > Fraction(141421, 100000), root < Fraction(141422, 100000), float(root)
    (True, True, 1.4142135623730951)
    """

    a: Fraction | int
    b: Fraction | int
    d: int

    def __post_init__(self) -> None:
        if isinstance(self.d, bool) or not isinstance(self.d, int) or self.d < 0:
            raise InvalidArgumentError("the number under the root is not an integer >= 0", got=self.d)
        for name in ("a", "b"):
            value = getattr(self, name)
            if not isinstance(value, Rational):
                raise InvalidArgumentError(f"{name} is not rational", got=value, allowed="int or Fraction")
            object.__setattr__(self, name, Fraction(value))

    def sign(self) -> int:
        """-1, 0 or 1."""
        x, y = self.a, self.b * (1 if self.d else 0)
        if x * y >= 0:
            return (x + y > 0) - (x + y < 0)
        difference = x * x - y * y * self.d
        return ((difference > 0) - (difference < 0)) * (1 if x > 0 else -1)

    def compare(self, other: Rational | Quadratic) -> int:
        """The sign of self - other; two roots must be of the same d."""
        if isinstance(other, Quadratic):
            return Quadratic(self.a - other.a, self.b - other.b, self.d).sign()
        return Quadratic(self.a - Fraction(other), self.b, self.d).sign()

    def comparable(self, other: object) -> bool:
        """Whether ``other`` is rational, or of the same d."""
        return isinstance(other, Rational) or (isinstance(other, Quadratic) and other.d == self.d)

    def __lt__(self, other: Rational | Quadratic) -> bool:
        return self.compare(other) < 0 if self.comparable(other) else NotImplemented

    def __le__(self, other: Rational | Quadratic) -> bool:
        return self.compare(other) <= 0 if self.comparable(other) else NotImplemented

    def __gt__(self, other: Rational | Quadratic) -> bool:
        return self.compare(other) > 0 if self.comparable(other) else NotImplemented

    def __ge__(self, other: Rational | Quadratic) -> bool:
        return self.compare(other) >= 0 if self.comparable(other) else NotImplemented

    def __eq__(self, other: object) -> bool:
        return self.compare(other) == 0 if self.comparable(other) else NotImplemented  # type: ignore[arg-type]

    def __hash__(self) -> int:
        root = math.isqrt(self.d)
        if not self.b or root * root == self.d:
            return hash(self.a + self.b * root)
        return hash((self.a, self.b, self.d))

    def __add__(self, other: int | Rational) -> Quadratic:
        if not isinstance(other, Rational):
            return NotImplemented
        return Quadratic(self.a + Fraction(other), self.b, self.d)

    def __mul__(self, other: int | Rational) -> Quadratic:
        if not isinstance(other, Rational):
            return NotImplemented
        return Quadratic(self.a * Fraction(other), self.b * Fraction(other), self.d)

    __radd__ = __add__
    __rmul__ = __mul__

    def __float__(self) -> float:
        return float(self.a) + float(self.b) * math.sqrt(self.d)

    def __str__(self) -> str:
        return f"{self.a} + {self.b} sqrt({self.d})"
