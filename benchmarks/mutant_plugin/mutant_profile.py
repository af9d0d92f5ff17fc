"""A pytest plugin for ``mutants.py``: hypothesis draws the same examples in every run, and does not make failing ones small."""

from __future__ import annotations


def pytest_configure() -> None:
    from hypothesis import Phase, settings  # not before pytest has looked at the plugin of hypothesis

    phases = [Phase.explicit, Phase.reuse, Phase.generate]
    settings.register_profile("mutants", derandomize=True, database=None, deadline=None, phases=phases)
    settings.load_profile("mutants")
