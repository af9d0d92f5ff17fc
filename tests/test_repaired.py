"""A repaired consumer makes up for what a linear map can, and for nothing else; what it cannot write stays as it is."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from reds_jax import adapt, repaired, trace
from reds_jax.errors import InvalidArgumentError
from reds_jax.explained import pivoted_cholesky
from reds_jax.graph.permute import permute
from reds_jax.repaired import repair
from reds_jax.run import run
from reds_jax.run.contributions import gram_matrices
from reds_jax.testing.networks import random_variables, shuffle

pytestmark = pytest.mark.usefixtures("as_users_write")
IMAGES = (30, 6, 5, 2)
CUT = 2


class Reads(nn.Module):
    """Eight linear units, the last two of which can be made from the others, and layers of one kind that read them."""

    kind: str

    @nn.compact
    def __call__(self, x, train=False):
        x = nn.Conv(8, (2, 2), padding="VALID", name="units")(x)
        if self.kind == "convolution":
            return nn.Conv(3, (3, 2), (2, 1), kernel_dilation=(1, 2), padding="VALID", name="reads")(x)
        if self.kind == "transposed":
            return nn.ConvTranspose(3, (3, 2), (2, 2), name="reads")(x)
        if self.kind == "batch norm":
            return nn.BatchNorm(not train)(nn.Conv(3, (2, 2), padding="VALID", use_bias=False, name="reads")(x))
        if self.kind == "flatten":
            return nn.Dense(3, name="reads")(x[:, :2, :2].reshape(len(x), -1))
        if self.kind == "several axes":
            return nn.DenseGeneral((2, 3), (-3, -1), name="reads")(x)  # rows and channels are summed over, columns stay
        if self.kind == "groups":
            x = nn.Conv(8, (2, 2), padding="VALID", feature_group_count=2, name="reads")(x)
            x = nn.Conv(4, (1, 1), feature_group_count=2, name="after")(shuffle(x, 2))
            return nn.Dense(3, name="last")(x)
        if self.kind == "several readers":
            y = nn.Dense(3, name="reads")(x[:, ::2]).sum(1) + nn.Dense(3, name="reads as well")(x[:, 1::2]).mean(1)
            return y, nn.Conv(2, (1, 1), use_bias=False, name="without a bias")(x)
        if self.kind == "shared":
            reads = nn.Dense(3, name="reads")
            return reads(x), reads(-2 * x)
        x = nn.Conv(8, (2, 1), padding="VALID", feature_group_count=8, name="between")(x)
        return nn.Conv(3, (1, 1), name="reads")(jnp.concatenate([x, x[..., :2] ** 2], -1))


KINDS = ("convolution", "transposed", "batch norm", "flatten", "several axes", "groups", "several readers", "shared",
         "depthwise")


def dependent(variables, kind):
    """The last units as combinations of the first ones, in the same half where the reader has two groups, and a constant."""
    units = variables["params"]["units"]
    kernel, bias = units["kernel"].copy(), units["bias"].copy()
    constant = 0 if kind in ("several readers", "transposed", "shared") else 5  # where there is a bias, and no zeros beside
    halves = (slice(0, 4), slice(4, 8)) if kind == "groups" else (slice(0, 8),)
    for half in halves:
        count = half.stop - half.start
        mix = np.random.default_rng(half.stop).normal(size=(count - CUT, CUT)).astype(np.float32)
        kernel[..., half.stop - CUT : half.stop] = kernel[..., half.start : half.stop - CUT] @ mix
        bias[half.stop - CUT : half.stop] = bias[half.start : half.stop - CUT] @ mix + constant
    return {**variables, "params": {**variables["params"], "units": {"kernel": kernel, "bias": bias}}}


def error(found, expected):
    return sum(float(np.square(np.asarray(a) - b).sum()) for a, b in zip(*map(jax.tree.leaves, (found, expected)), strict=True))


@pytest.fixture(scope="module", params=KINDS)
def case(request):
    model = Reads(request.param)
    x = np.asarray(jax.random.normal(jax.random.key(0), IMAGES)) + 1
    variables = random_variables(model, x)
    graph = trace(model, variables, x)
    last = [g.name for g in graph.groups if g.name.startswith("units")][-1]  # two, where some units are also squared
    widths = {g.name: g.size - CUT * (g.name == last) for g in graph.groups}
    return request.param, model, variables, graph, graph.widths(widths), x


def test_units_that_can_be_made_from_others_are_not_missed(case):
    kind, model, variables, graph, widths, x = case
    if kind == "depthwise":  # combinations do not pass a channelwise kernel: copies in both do
        units, between = variables["params"]["units"], variables["params"]["between"]
        for layer in (units, between):
            layer["kernel"][..., -CUT:], layer["bias"][-CUT:] = layer["kernel"][..., :CUT], layer["bias"][:CUT]
    else:
        variables = dependent(variables, kind)
    full, cut = run(model, variables, x)[0], run(model, variables, x, widths)[0]
    alone, = repair(model, variables, graph, [widths], [(x[:10], None), (x[10:], None)], ridge=1e-9)
    left = error(run(model, alone, x, widths)[0], full)
    assert left < 1e-6 * error(cut, full)


def test_the_error_of_what_reads_the_units_falls(case):
    kind, model, variables, graph, widths, x = case
    full = run(model, variables, x)[0]
    before, = (error(run(model, variables, x, widths)[0], full),)
    alone, unchanged = repair(model, variables, graph, [widths, 1.0], [(x, None)])
    assert error(run(model, alone, x, widths)[0], full) < before
    jax.tree.map(np.testing.assert_array_equal, unchanged, variables)
    changed = {path for path, same in leaves(jax.tree.map(np.array_equal, alone, variables)).items() if not same}
    names = {"several readers": {"reads", "reads as well", "without a bias"}}.get(kind, {"reads"})
    assert {path.split("/")[1] for path in changed if path.endswith("kernel")} == names
    assert changed - {f"params/{name}/{part}" for name in names for part in ("kernel", "bias")} == (
        {"batch_stats/BatchNorm_0/mean"} if kind == "batch norm" else set())


def leaves(tree):
    return {"/".join(k.key for k in path): leaf for path, leaf in jax.tree_util.tree_leaves_with_path(tree)}


class Dense(nn.Module):
    outputs: int = 1
    bias: bool = True

    @nn.compact
    def __call__(self, x):
        return nn.Dense(self.outputs, self.bias, name="reads")(nn.softplus(nn.Dense(7, name="units")(x)))


def dense_case(model, rows=60):
    x = np.asarray(jax.random.normal(jax.random.key(0), (rows, 4)))
    variables = random_variables(model, x)
    return x, variables, trace(model, variables, x)


def hidden(units, x):
    return np.logaddexp(0, x.astype(np.float64) @ units["kernel"] + units["bias"])


@pytest.mark.parametrize("outputs", [1, 3])
def test_what_is_left_is_the_schur_complement(outputs):
    """proofs/order_of_units.md, Lemma 3 and Theorem 4: at most |C| times the trace that Cholesky leaves.

    It is the trace itself for one output and one unit that is cut.
    """
    model = Dense(outputs)
    x, variables, graph = dense_case(model)
    gram = gram_matrices(*adapt(model, variables), [x])["units"]
    found = pivoted_cholesky(gram)
    scores = np.zeros(7)
    scores[found.order] = np.arange(7, 0, -1)
    variables = permute(variables, graph, {"units": scores})
    units, reads = (variables["params"][name] for name in ("units", "reads"))
    a = hidden(units, x)
    w, full = reads["kernel"].astype(np.float64), np.asarray(run(model, variables, x)[0])
    cov, widths = np.cov(a, rowvar=False, bias=True), [graph.widths([n]) for n in range(1, 8)]
    for n, alone in enumerate(repair(model, variables, graph, widths, [(x, None)], ridge=1e-9), 1):
        new = alone["params"]["reads"]
        left = np.square(a[:, :n] @ new["kernel"][:n] + new["bias"] - full).sum(-1).mean()
        schur = cov - cov[:, :n] @ np.linalg.solve(cov[:n, :n], cov[:n])
        assert left == pytest.approx((schur * (w @ w.T)).sum(), rel=1e-4, abs=1e-9)
        trace_left = np.trace(gram) - found.explained[n - 1]
        assert left <= (7 - n) * trace_left * (1 + 1e-4) + 1e-9
        if n == 6:
            same = left == pytest.approx(trace_left, rel=1e-3)
            assert same if outputs == 1 else left < trace_left
        plain = np.square(a[:, :n] @ w[:n] + reads["bias"] - full).sum(-1).mean()
        assert left <= plain + 1e-9


def test_without_a_bias_the_moments_are_about_zero():
    model = Dense(3, bias=False)
    x, variables, graph = dense_case(model)
    alone, = repair(model, variables, graph, [graph.widths([3])], [(x, None)], ridge=1e-9)
    a = hidden(variables["params"]["units"], x)
    y = a @ variables["params"]["reads"]["kernel"]
    expected = np.linalg.lstsq(a[:, :3], y, rcond=None)[0]
    np.testing.assert_allclose(alone["params"]["reads"]["kernel"][:3], expected, rtol=1e-3, atol=1e-4)


class Twice(nn.Module):
    @nn.compact
    def __call__(self, x):
        reads, a = nn.Dense(3, name="reads"), nn.softplus(nn.Dense(7, name="units")(x))
        return reads(a), reads(a**2)


def test_a_shared_kernel_is_fitted_to_all_rows_that_it_reads():
    x, variables, graph = dense_case(Twice())
    alone, = repair(Twice(), variables, graph, [graph.widths([3])], [(x, None)], ridge=1e-9)
    a, reads = hidden(variables["params"]["units"], x), variables["params"]["reads"]
    rows = np.concatenate([a, a**2])
    design = np.concatenate([rows[:, :3], np.ones((len(rows), 1))], 1)
    expected = np.linalg.lstsq(design, rows @ reads["kernel"] + reads["bias"], rcond=None)[0]
    new = alone["params"]["reads"]
    np.testing.assert_allclose(np.concatenate([new["kernel"][:3], new["bias"][None]]), expected, rtol=1e-2, atol=1e-3)


def test_batches_are_one_sample_whatever_their_order():
    model = Dense(3)
    x, variables, graph = dense_case(model)
    x = x + np.arange(60, dtype=np.float32)[:, None] / 10  # batches with means of their own
    parts = [(part, None) for part in np.split(x, 3)]
    whole, forward, backward = (repair(model, variables, graph, [graph.widths([3])], batches)[0]
                                for batches in ([(x, None)], parts, parts[::-1]))
    for other in (forward, backward):
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5), whole, other)


def test_units_that_repeat_or_are_silent_and_few_rows_do_no_harm():
    """The second moments have no inverse: two equal units, a silent one, and fewer rows than units."""
    model = Dense(3)
    x, variables, graph = dense_case(model, rows=4)
    units = variables["params"]["units"]
    units["kernel"][:, 1] = units["kernel"][:, 0]
    units["bias"][1] = units["bias"][0]
    units["bias"][2] = -100
    full = run(model, variables, x)[0]
    widths = [graph.widths([n]) for n in range(1, 7)]
    for width, alone in zip(widths, repair(model, variables, graph, widths, [(x, None)]), strict=True):
        assert error(run(model, alone, x, width)[0], full) <= error(
            run(model, variables, x, width)[0], full) + 1e-9
    units["bias"][:3] = -100  # nothing that stays varies
    alone, = repair(model, variables, graph, [graph.widths([3])], [(x, None)])
    np.testing.assert_array_equal(alone["params"]["reads"]["kernel"], variables["params"]["reads"]["kernel"])
    kept = hidden(units, x).mean(0)[3:] @ variables["params"]["reads"]["kernel"][3:]
    np.testing.assert_allclose(alone["params"]["reads"]["bias"], variables["params"]["reads"]["bias"] + kept, rtol=1e-4)


class LeftAlone(nn.Module):
    """Kernels that cannot be written: one with two uses, a computed one, one in a loop; a bias that is used twice."""

    @nn.compact
    def __call__(self, tokens):
        table = nn.Embed(9, 6, name="table")
        x = nn.relu(nn.WeightNorm(nn.Dense(6), name="norm")(nn.Dense(8, name="units")(table(tokens))))
        x = nn.scan(Turn, variable_axes={"params": 0}, split_rngs={"params": True}, length=2)(name="loop")(x, None)[0]
        bias = self.param("bias", nn.initializers.ones, (5,))
        y = nn.Dense(5, use_bias=False, name="reads")(nn.relu(nn.Dense(7, name="more units")(x))) + bias
        return table.attend(x), y * bias


class Turn(nn.Module):
    @nn.compact
    def __call__(self, x, _):
        return x + nn.Dense(6, name="adds")(nn.relu(nn.Dense(4, name="inner")(x))), None


def test_what_cannot_be_written_stays():
    model, tokens = LeftAlone(), np.arange(36).reshape(12, 3) % 9
    variables = random_variables(model, tokens)
    graph = trace(model, variables, tokens)
    alone, = repair(model, variables, graph, [0.5], [(tokens, None)])
    changed = {path for path, same in leaves(jax.tree.map(np.array_equal, alone, variables)).items() if not same}
    assert changed == {f"params/{name}" for name in (
        "reads/kernel", "units/kernel", "units/bias", "more units/kernel", "more units/bias")}


def test_what_is_refused(monkeypatch):
    model = Dense()
    x, variables, graph = dense_case(model)
    with pytest.raises(InvalidArgumentError, match="nothing to repair the consumers with"):
        repair(model, variables, graph, [0.5], [])
    with pytest.raises(InvalidArgumentError, match="ridge"):
        repair(model, variables, graph, [0.5], [(x, None)], ridge=0)
    with pytest.raises(InvalidArgumentError, match="inputs of batch 1 has a value that is not allowed"):
        repair(model, variables, graph, [0.5], [(x, None), (x * np.inf, None)])
    monkeypatch.setattr(repaired, "ENTRIES", 48)
    with pytest.raises(InvalidArgumentError, match=r"'params/reads/kernel' reads too many.*got 7; allowed: at most 6"):
        repair(model, variables, graph, [0.5], [(x, None)])
