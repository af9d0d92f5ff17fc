"""One error family: what was wrong, the value that was given, what is allowed, what to do next."""


class RedsError(Exception):
    """Base of every error that the library raises on purpose.

    Args:
        what: what was wrong, in one sentence without a full stop.
        got: the offending value, shown with ``repr`` (left out if None).
        allowed: the values that are allowed, in words.
        hint: what to do next, in words.
    """

    def __init__(self, what: str, *, got: object = None, allowed: str = "", hint: str = "") -> None:
        parts = [what.rstrip(".")]
        if got is not None:
            parts.append(f"got {got!r}")
        if allowed:
            parts.append(f"allowed: {allowed}")
        message = "; ".join(parts) + "."
        super().__init__(f"{message} {hint}".rstrip())
        self.what, self.got, self.allowed, self.hint = what, got, allowed, hint


class InvalidArgumentError(RedsError, ValueError):
    """An argument has a value that is not allowed."""


class WidthError(InvalidArgumentError):
    """A width is not a fraction in (0, 1], or does not fit the channel groups of the network."""


class TraceError(RedsError, NotImplementedError):
    """The channel graph cannot follow an operation of the network."""


class InfeasibleError(RedsError, ValueError):
    """No widths meet the capacities. ``resource`` is the one that cannot be met, ``smallest`` what could be."""

    def __init__(self, what: str, *, resource: str, smallest: float | int, **kwargs: object) -> None:
        super().__init__(what, **kwargs)  # type: ignore[arg-type]
        self.resource, self.smallest = resource, smallest


class DataError(RedsError):
    """A data set is missing or does not have the form that is expected."""


class MetricError(RedsError, AttributeError):
    """A result is asked for a metric that was not measured."""


class MissingDependencyError(RedsError, ImportError):
    """An optional package is not installed; the message says how to install it."""


class CheckpointError(RedsError):
    """A checkpoint or a saved model is missing, incomplete, or belongs to another run."""


class ProcessError(RedsError):
    """Processes that should train together do not find each other, differ, or the first one has failed."""
