"""One value for several, numbers of NumPy, text, booleans, negative numbers: promoted, or an error of the library.

Every entrance that takes widths, budgets, the number of a subnetwork, MACs, inputs, scores or a key is in the tables below.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from rich.console import Console

import reds_jax
from reds_jax import data, importance, models
from reds_jax.baselines import uniform_widths
from reds_jax.checks import several
from reds_jax.data import Split
from reds_jax.errors import InvalidArgumentError, RedsError
from reds_jax.run import run, run_nested
from reds_jax.training import (
    FitConfig,
    Optimizer,
    TrainState,
    evaluate,
    fit,
    make_train_step,
    recalibrate,
    subnetwork_weights,
)
from reds_jax.widths import check_widths

pytestmark = pytest.mark.usefixtures("as_users_write", "unchecked")


class Net(nn.Module):
    """Two dense layers with batch norm between them."""

    @nn.compact
    def __call__(self, x, train=False):
        return nn.Dense(3)(nn.relu(nn.BatchNorm(not train)(nn.Dense(4)(x))))


class Untold(nn.Module):
    """A model without ``train=``."""

    @nn.compact
    def __call__(self, x):
        return nn.Dense(3)(nn.relu(nn.Dense(4)(x)))


X, Y = np.random.default_rng(0).normal(size=(6, 5)).astype(np.float32), np.arange(6) % 3
MODEL = Net()
VARIABLES = jax.tree.map(np.asarray, MODEL.init(jax.random.key(0), X))
PARAMS, STATS = VARIABLES["params"], VARIABLES["batch_stats"]
GRAPH = reds_jax.trace(MODEL, VARIABLES, X)
GROUP = GRAPH.groups[0].name
SCORES = {GROUP: np.arange(4, 0, -1.0)}
SGD = optax.sgd(0.1)
QUIET = Console(quiet=True)
KEY = jax.random.key(0)
NETWORK = reds_jax.NestedNetwork(MODEL, PARAMS, (STATS, STATS), (GRAPH.widths(0.5), GRAPH.full_widths),
                                 (GRAPH.macs(0.5), GRAPH.macs()), X)


def by_fit(widths):
    return fit(MODEL, VARIABLES, widths, Split(X, Y), Split(X, Y), FitConfig(epochs=1, batch_size=3), console=QUIET)


WIDTHS = {
    "fit": by_fit, "evaluate": lambda w: evaluate(MODEL, PARAMS, [STATS], w, X, Y),
    "recalibrate": lambda w: recalibrate(MODEL, VARIABLES, w, X, key=KEY),
    "make_train_step": lambda w: make_train_step(MODEL, SGD, w),
    "run_nested": lambda w: run_nested(MODEL, PARAMS, [STATS], X, w),
    "repair": lambda w: reds_jax.repair(MODEL, VARIABLES, GRAPH, w, [(X, Y)]),
}
NO_WIDTHS = ("0.5", None, [], ["0.5"], [True], True, [[4]], {"Dense_0": 4}, np.ones((1, 1)), -0.5, 0, [np.nan], [2.0])


@pytest.mark.parametrize("entrance", WIDTHS)
def test_what_is_no_sequence_of_widths_is_an_error_of_the_library(entrance):
    for wrong in NO_WIDTHS:
        with pytest.raises(RedsError, match=r"width"):
            WIDTHS[entrance](wrong)


def test_one_width_is_a_sequence_of_one_and_an_array_is_a_sequence():
    assert check_widths(1) == check_widths(np.float32(1)) == check_widths(np.ones(1)) == check_widths([1.0]) == (1.0,)
    assert check_widths(GRAPH.full_widths) == (GRAPH.full_widths,)
    assert [type(w) for w in check_widths(jnp.array([0.5, 1.0]))] == [float, float]
    (one,), (same,) = (run_nested(MODEL, PARAMS, [STATS], X, w) for w in (0.5, np.array([0.5])))
    np.testing.assert_array_equal(one[0], same[0])


@pytest.mark.parametrize("width", ["0.5", True, None, [4], np.array([4]), {"Dense_0": 4}, 0, -1, 1.5, np.nan, 2])
def test_what_is_no_width(width):
    for entrance in (lambda: run(MODEL, VARIABLES, X, width),
                     lambda: reds_jax.Slimmable(MODEL).apply(VARIABLES, X, width=width)):
        with pytest.raises(RedsError, match="a width"):
            entrance()


@pytest.mark.parametrize(("budgets", "found"), [
    (0.5, (0.5,)), (np.array([0.5, 1.0]), (0.5, 1.0)), (np.float32(1), (1.0,)), ([0.25, 1], (0.25, 1.0)), (1, (1.0,))])
def test_budgets_are_promoted(budgets, found):
    options = reds_jax.Subnetworks(budgets=budgets)
    assert options.budgets == found
    assert all(type(b) is float for b in options.budgets)


@pytest.mark.parametrize("budgets", ["0.5", ("0.5",), True, None, (), (0.5, 0.5), -0.5, 0, 1.5, np.nan, np.ones((2, 2)),
                                     {"a": 1.0}])
def test_what_is_no_budget(budgets):
    with pytest.raises(InvalidArgumentError, match="budget"):
        reds_jax.Subnetworks(budgets=budgets)


@pytest.mark.parametrize(("options", "message"), [
    ({"rules": 5}, "a rule"), ({"rules": "no colon"}, "a rule"), ({"rules": None}, "rules")])
def test_what_is_no_rule(options, message):
    with pytest.raises(InvalidArgumentError, match=message):
        reds_jax.Subnetworks(**options)
    assert reds_jax.Subnetworks(rules="Dense_0:exclude").rules == ("Dense_0:exclude",)  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("k", ["0", 0.0, None, [0], True, 2, -3, np.array([0]), np.array(0.5)])
def test_what_is_no_number_of_a_subnetwork(k):
    for entrance in (lambda: NETWORK.apply(k, X), lambda: NETWORK.variables(k), lambda: NETWORK.subnetwork(k)):
        with pytest.raises(InvalidArgumentError, match="subnetwork"):
            entrance()


def test_numbers_of_numpy_name_a_subnetwork():
    for k in (np.int64(1), np.array(1), jnp.array(1), -1):
        np.testing.assert_array_equal(NETWORK.apply(k, X), NETWORK.apply(1, X))


@pytest.mark.parametrize("macs", ["5", None, True, -1, np.nan, [5], np.array([5])])
def test_what_are_no_macs(macs):
    with pytest.raises(InvalidArgumentError, match="macs"):
        NETWORK.for_budget(macs)
    assert NETWORK.for_budget(np.int64(10**6)) == NETWORK.for_budget(1e6) == 1


@pytest.mark.parametrize("inputs", [None, 1.0, [1, 2], X.tolist(), np.float32(1), np.array("a"), np.array(["a"]), (), (X, 1.0),
                                    {"x": None}, np.array([{}])])
def test_what_are_no_inputs(inputs):
    for entrance in (lambda: run(MODEL, VARIABLES, inputs), lambda: reds_jax.trace(MODEL, VARIABLES, inputs),
                     lambda: run_nested(MODEL, PARAMS, [STATS], inputs, [1.0]), lambda: NETWORK.apply(0, inputs),
                     lambda: NETWORK.read(inputs)):
        with pytest.raises(InvalidArgumentError, match="input"):
            entrance()


@pytest.mark.parametrize("key", [0, "0", np.zeros(3, np.uint32), np.zeros(2), jax.random.split(KEY)])
def test_what_is_no_key(key):
    for entrance in (lambda: run(MODEL, VARIABLES, X, key=key), lambda: recalibrate(MODEL, VARIABLES, [1.0], X, key=key),
                     lambda: run_nested(MODEL, PARAMS, [STATS], X, [1.0], key=key),
                     lambda: TrainState.create(VARIABLES, SGD, 1, key)):
        with pytest.raises(InvalidArgumentError, match="no key of jax.random"):
            entrance()


def test_a_key_of_before_is_a_key():
    assert TrainState.create(VARIABLES, SGD, 1, jax.random.PRNGKey(3)).key == jax.random.key(3)


@pytest.mark.parametrize("stats", [STATS, None, [], [STATS, STATS], 3])
def test_statistics_are_one_tree_for_each_subnetwork(stats):
    for entrance in (lambda: run_nested(MODEL, PARAMS, stats, X, [1.0]), lambda: evaluate(MODEL, PARAMS, stats, [1.0], X, Y)):
        with pytest.raises(InvalidArgumentError, match="batch statistics for each subnetwork"):
            entrance()


@pytest.mark.parametrize(("call", "message"), [
    (lambda: reds_jax.permute(VARIABLES, GRAPH, None), "scores are no mapping"),
    (lambda: reds_jax.permute(VARIABLES, GRAPH, {GROUP: "abcd"}), "one finite number per unit"),
    (lambda: reds_jax.extract(MODEL, VARIABLES, GRAPH, "0.5"), "a width"),
    (lambda: importance.score("random", MODEL, VARIABLES, GRAPH, seed="a"), "seed"),
    (lambda: importance.score("random", MODEL, VARIABLES, GRAPH, seed=-1), "seed"),
    (lambda: importance.score("taylor", MODEL, VARIABLES, GRAPH, (X, Y)), "no pair"),
    (lambda: importance.score("l1", MODEL, None, GRAPH), "holds no variables"),
    (lambda: recalibrate(MODEL, None, [1.0], X, key=KEY), "holds no variables"),
    (lambda: TrainState.create(None, SGD, 1, KEY), "no variables of a model"),
    (lambda: reds_jax.width_problem(GRAPH, None), "scores are no mapping"),
    (lambda: reds_jax.width_problem(GRAPH, SCORES, step="4"), "step is not an integer"),
    (lambda: reds_jax.width_problem(GRAPH, SCORES, step=True), "step is not an integer"),
    (lambda: reds_jax.width_problem(GRAPH, SCORES, floor="0.5"), "floor is not a number"),
    (lambda: reds_jax.width_problem(GRAPH, SCORES, floor=-1), "floor is out of range"),
    (lambda: reds_jax.width_problem(GRAPH, SCORES, resources=None), "resources cannot be read"),
    (lambda: reds_jax.width_problem(GRAPH, SCORES, rules=5), "a rule for layers"),
    (lambda: uniform_widths(reds_jax.width_problem(GRAPH, SCORES), "5"), "capacities must be a sequence"),
    (lambda: uniform_widths(reds_jax.width_problem(GRAPH, SCORES), [5], units={"a": 1}), "units name an unknown group"),
    (lambda: uniform_widths(reds_jax.width_problem(GRAPH, SCORES), [5], units={GROUP: 0}), "the units of .* out of range"),
    (lambda: reds_jax.Widths(5), "no pairs"),
    (lambda: reds_jax.Widths((("a", 1, 2),)), "no pairs"),
    (lambda: reds_jax.Widths.of([("a", 1)]), "made of a mapping"),
    (lambda: subnetwork_weights("sqrt_params", 2, sizes=5), "one size for each subnetwork"),
    (lambda: subnetwork_weights(5, 2), "one weight for each subnetwork"),
    (lambda: Optimizer("adam", 0.1), "no Schedule"),
    (lambda: data.load("vww", 5), "unknown place of data"),
    (lambda: data.load("fashion_mnist", "synthetic", limit="5"), "limit is not an integer"),
    (lambda: data.load("fashion_mnist", "synthetic", limit=True), "limit is not an integer"),
    (lambda: data.load("fashion_mnist", "synthetic", seed=-1), "seed is out of range"),
    (lambda: data.load("fashion_mnist", "synthetic", resolution="a"), "resolution is not an integer"),
    (lambda: data.load("fashion_mnist", "synthetic", validation=2), "validation is out of range"),
    (lambda: data.Normalise("a", "b"), "no number"),
    (lambda: data.Normalise(None, 1), "mean cannot be read"),
    (lambda: data.split_off(Split(X, Y), "a", 0), "not a number"),
    (lambda: models.build("dnn_s", 5), "no mapping"),
    (lambda: models.build("dnn_s", {"bad": 1}), "dnn_s has no such argument; got \\['bad'\\]; allowed: classes"),
    (lambda: models.build("dnn_s", {"classes": "a"}), "classes is not an integer"),
    (lambda: models.build("mobilenet_v1", {"alpha": "a"}), "alpha is not a number"),
    (lambda: several("names", None, "text"), "names cannot be read"),
])
def test_other_arguments(call, message):
    with pytest.raises(InvalidArgumentError, match=message):
        call()


def test_numbers_of_numpy_mean_what_numbers_of_python_mean():
    """A fraction of another type than float would be read as a number of units."""
    half = reds_jax.width_problem(GRAPH, SCORES, floor=0.5).widths
    assert half[0][0] == 2
    for floor in (np.float32(0.5), np.float64(0.5), 2, np.int64(2), {GROUP: np.int64(2)}):
        assert reds_jax.width_problem(GRAPH, SCORES, floor=floor).widths == half
    assert reds_jax.width_problem(GRAPH, SCORES, resources="macs").resources.keys() == {"macs"}
    problem = reds_jax.width_problem(GRAPH, SCORES)
    assert uniform_widths(problem, [GRAPH.macs()]) == uniform_widths(problem, np.array([GRAPH.macs()])) == [(4,)]
    assert data.Normalise(0.5, np.array([2.0])) == data.Normalise((0.5,), (2.0,))


def test_a_model_without_train_is_a_model():
    model = Untold()
    variables = model.init(jax.random.key(0), X)
    np.testing.assert_allclose(run(model, variables, X)[0], model.apply(variables, X), rtol=1e-5)
    state = TrainState.create(variables, SGD, 2, KEY)
    trained, metrics = make_train_step(model, SGD, [0.5, 1.0])(state, X, Y, np.array([[0, 1, 2], [3, 4, 5]]))
    assert bool(metrics["finite"])
    assert not np.array_equal(trained.params["Dense_0"]["kernel"], state.params["Dense_0"]["kernel"])


@pytest.mark.parametrize("dtype", [np.float64, np.float16, jnp.bfloat16])
def test_variables_of_other_floats_are_promoted(dtype):
    variables = jax.tree.map(lambda a: np.asarray(a, dtype), VARIABLES)
    outputs = run(MODEL, variables, X, 0.5)[0]
    np.testing.assert_allclose(np.asarray(outputs, np.float32), run(MODEL, VARIABLES, X, 0.5)[0], atol=0.05)
    moved = run(MODEL, variables, X, 0.5, train=True)[1]
    assert {a.dtype for a in jax.tree.leaves(moved)} == {jax.dtypes.canonicalize_dtype(dtype)}  # a loop can carry them
    state = TrainState.create(variables, SGD, 1, KEY)
    assert {a.dtype for a in jax.tree.leaves((state.params, state.batch_stats))} == {np.dtype(np.float32)}
    scores, expected = (importance.score("l1", MODEL, v, GRAPH)[GROUP] for v in (variables, VARIABLES))
    np.testing.assert_allclose(scores, expected, rtol=0.02)
    (stats,) = recalibrate(MODEL, variables, [1.0], X, key=KEY, batch_size=6)
    assert np.isfinite(np.asarray(stats["BatchNorm_0"]["var"], np.float32)).all()


def test_parameters_that_are_no_floats_cannot_be_trained():
    variables = {**VARIABLES, "params": jax.tree.map(lambda a: np.asarray(a, np.int32), PARAMS)}
    for entrance in (lambda: TrainState.create(variables, SGD, 1, KEY),
                     lambda: importance.score("taylor", MODEL, variables, GRAPH, [(X, Y)])):
        with pytest.raises(InvalidArgumentError, match="the parameter 'BatchNorm_0/bias' cannot be trained; got 'int32'"):
            entrance()
