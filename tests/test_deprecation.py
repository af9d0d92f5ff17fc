"""A deprecated name works, and warns at the line of the user who wrote it."""

import warnings

import pytest

from reds_jax.deprecation import deprecated, renamed_arguments


@deprecated(since="0.2", instead="solve")
def optimise(x):
    return x + 1


@renamed_arguments(since="0.2", budget="capacity", floor="lower")
def choose(capacity, *, lower=0):
    return capacity, lower


def test_an_old_function_does_what_it_did_and_names_its_successor():
    with pytest.warns(DeprecationWarning, match=r"optimise\(\) is deprecated since reds_jax 0\.2; use solve\(\)") as caught:
        assert optimise(1) == 2
    assert caught[0].filename == __file__


def test_old_arguments_are_taken_under_their_new_names():
    with pytest.warns(DeprecationWarning, match=r"argument (budget|floor) of choose\(\).* use (capacity|lower)") as caught:
        assert choose(budget=3, floor=1) == (3, 1)
    assert [w.filename for w in caught] == [__file__] * 2


def test_new_arguments_do_not_warn():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert choose(3, lower=1) == (3, 1)


def test_an_argument_under_both_names_is_refused():
    with pytest.raises(TypeError, match="'floor' and 'lower'"):
        choose(3, floor=1, lower=2)
