"""What JAX compiles, for how long, and under which name, by its own events; no file of this library is imported.

    python benchmarks/compile_clock.py found.json vww --preset smoke     # a command of `reds` under the clock

JAX times three parts of every compilation: a function is traced to a jaxpr, the jaxpr becomes a module of MLIR, XLA compiles
that (or reads it from the cache of compiled programs). Parts lie within each other: a function that is traced calls others. The
seconds of a `Part` are its own, without those of the parts within it, so that all seconds add up to the time in which JAX was
compiling.
"""

from __future__ import annotations

import json
import resource
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from jax import monitoring

KINDS = {
    "/jax/core/compile/jaxpr_trace_duration": "trace",
    "/jax/core/compile/jaxpr_to_mlir_module_duration": "lower",
    "/jax/core/compile/backend_compile_duration": "compile",
}
READ = "/jax/compilation_cache/cache_retrieval_time_sec"


@dataclass(frozen=True)
class Part:
    """One part of a compilation.

    Args:
        kind: "trace", "lower" or "compile".
        name: of the function.
        seconds: by the clock, without the parts within it.
        processor_seconds: of all threads of the process in that time.
        read: whether the program came from the cache of compiled programs.
    """

    kind: str
    name: str
    seconds: float
    processor_seconds: float
    read: bool = False


@dataclass
class _Open:
    event: str
    begin: tuple[float, float]
    within: tuple[float, float] = (0.0, 0.0)
    read: bool = False


def _now() -> tuple[float, float]:
    return time.perf_counter(), time.process_time()


@dataclass
class CompileClock:
    """Listens to JAX from `listen` on; ``parts`` in the order in which they end.

    A part that raises has an end as any other. JAX says where a part begins by a scalar and where it ends by a duration, both
    under the name of the event.
    """

    parts: list[Part] = field(default_factory=list)
    _threads: threading.local = field(default_factory=threading.local)

    @contextmanager
    def listen(self) -> Iterator[CompileClock]:
        """What JAX compiles within the context is noted."""
        monitoring.register_scalar_listener(self._begin)
        monitoring.register_event_duration_secs_listener(self._end)
        try:
            yield self
        finally:
            monitoring.unregister_scalar_listener(self._begin)
            monitoring.unregister_event_duration_listener(self._end)

    def _stack(self) -> list[_Open]:
        if not hasattr(self._threads, "stack"):
            self._threads.stack = []
        return self._threads.stack

    def _begin(self, event: str, value: float, **about: Any) -> None:
        if event in KINDS:
            self._stack().append(_Open(event, _now()))

    def _end(self, event: str, seconds: float, **about: Any) -> None:
        stack = self._stack()
        if event == READ and stack:
            stack[-1].read = True
        if event not in KINDS or not stack or stack[-1].event != event:  # it began before the clock listened
            return
        part = stack.pop()
        whole = [b - a for a, b in zip(part.begin, _now(), strict=True)]
        own = [a - b for a, b in zip(whole, part.within, strict=True)]
        self.parts.append(Part(KINDS[event], _plain(about.get("fun_name", "?")), *own, part.read))
        if stack:
            a, b = stack[-1].within
            stack[-1].within = a + whole[0], b + whole[1]


def _plain(name: str) -> str:
    """The name of a function, whichever event says it.

    >>> _plain("jit(step)"), _plain("jit_step"), _plain("step")
    ('step', 'step', 'step')
    """
    return name.removeprefix("jit(").removesuffix(")") if name.startswith("jit(") else name.removeprefix("jit_")


def totals(parts: Iterable[Part]) -> dict[str, float]:
    """Seconds of each kind and of all, of the processor, and how many programs were compiled, and read.

    >>> totals([Part("trace", "f", 1.0, 0.5), Part("compile", "f", 2.0, 3.0), Part("compile", "g", 4.0, 4.0, True)])
    {'trace': 1.0, 'lower': 0, 'compile': 6.0, 'seconds': 7.0, 'processor_seconds': 7.5, 'compiled': 1, 'read': 1}
    """
    parts = list(parts)
    found: dict[str, float] = {kind: sum(p.seconds for p in parts if p.kind == kind) for kind in KINDS.values()}
    programs = [p for p in parts if p.kind == "compile"]
    return {**found, "seconds": sum(found.values()), "processor_seconds": sum(p.processor_seconds for p in parts),
            "compiled": sum(not p.read for p in programs), "read": sum(p.read for p in programs)}


def longest(parts: Iterable[Part], count: int) -> list[dict[str, Any]]:
    """The names that took longest in all, with the totals of each.

    >>> [f["name"] for f in longest([Part("trace", "f", 1, 1), Part("lower", "g", 3, 1), Part("compile", "f", 4, 1)], 1)]
    ['f']
    """
    by_name: dict[str, list[Part]] = {}
    for part in parts:
        by_name.setdefault(part.name, []).append(part)
    found = [{"name": name, **totals(mine)} for name, mine in by_name.items()]
    return sorted(found, key=lambda one: -one["seconds"])[:count]


def main(argv: Sequence[str]) -> None:
    """Run a command of this library, and write its seconds and its parts to a file, also if it fails."""
    begin, clock = _now(), CompileClock()
    with clock.listen():
        try:
            sys.argv = ["reds", *argv[1:]]
            from reds_jax.__main__ import main as reds

            reds()
        finally:
            wall, processor = (b - a for a, b in zip(begin, _now(), strict=True))
            others = resource.getrusage(resource.RUSAGE_CHILDREN)  # the C++ compiler, where the kernel is not built yet
            found = {"seconds": wall, "processor_seconds": processor, "others_seconds": others.ru_utime + others.ru_stime,
                     "parts": [asdict(part) for part in clock.parts]}
            Path(argv[0]).write_text(json.dumps(found), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
