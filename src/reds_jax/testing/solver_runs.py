"""How a solver of yours is tried: on cases that hypothesis draws, by the settings in force, with every fault told alike."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from reds_jax.optional import needs

with needs("hypothesis", "a strategy"):
    import hypothesis
    from hypothesis import HealthCheck
    from hypothesis import strategies as st
    from hypothesis.errors import Flaky, UnsatisfiedAssumption

if TYPE_CHECKING:
    from hypothesis import settings as Settings
else:
    Settings = Any  # run-time checks of types cannot read that class in a union

T = TypeVar("T", bound=tuple)
SLOW = {HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example}


def settings_for(settings: Settings | None, max_examples: int | None) -> Settings:
    """The settings of a run: those given, else those of the hypothesis profile in force; one failure is told, not several.

    Args:
        settings: None takes the profile in force: its deadline, database, seed and number of examples.
        max_examples: None takes that of the settings.
    """
    base = hypothesis.settings() if settings is None else settings
    return hypothesis.settings(
        base, max_examples=base.max_examples if max_examples is None else max_examples, report_multiple_bugs=False,
        suppress_health_check=SLOW | set(base.suppress_health_check),
    )  # fmt: skip


def try_solver(
    solver: Callable[..., Any], cases: st.SearchStrategy[T], check: Callable[[Any, T], object], where: Callable[[T], str],
    settings: Settings,
) -> None:  # fmt: skip
    """Calls ``solver(*case)`` on drawn cases and ``check(answer, case)`` on what it returns.

    Args:
        solver: of the user.
        cases: what it is called with, a tuple.
        check: raises AssertionError for a wrong answer, naming the case.
        where: a case in words, beginning with "on".
        settings: from ``settings_for``.

    Raises:
        AssertionError: with the smallest case that was found, if the solver raises, answers wrongly, or not the same twice.
    """
    found: list[AssertionError] = []

    def holds(case: T) -> None:
        try:
            answer = solver(*case)
        except UnsatisfiedAssumption:  # hypothesis.assume: the solver is not for such cases
            raise
        except Exception as error:
            wrong = AssertionError(f"the solver raised {type(error).__name__}: {error} {where(case)}")
            found.append(wrong)
            raise wrong from error
        try:
            check(answer, case)
        except AssertionError as wrong:
            found.append(wrong)
            raise

    named = f"holds_for_{getattr(solver, '__qualname__', type(solver).__qualname__)}"  # failures are stored by this name
    holds.__name__ = holds.__qualname__ = re.sub(r"\W", "_", named)
    try:
        settings(hypothesis.given(cases)(holds))()
    except Flaky as flaky:
        if not found:
            raise
        raise AssertionError(f"{found[-1]}; called again with the same, the solver answers otherwise") from flaky
