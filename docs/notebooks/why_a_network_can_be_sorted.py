# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
#       format_version: '1.3'
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Why a network can be sorted
#
# A subnetwork of `reds_jax` keeps the *first* units of every layer. So the important units have to come first, and somebody has
# to move them there. Why may they be moved at all? And what exactly does the network compute when the rest is cut away?
#
# **At the end you will know**
#
# - why the hidden units of a network can be put into any order, and what has to move along;
# - why keeping the first n units is the same as multiplying the others by zero, and where exactly that zero has to sit;
# - what batch norm changes, and why layer normalisation does not fit in;
# - how the library reads all this off a network, sorts it, and cuts it; and what sorting is good for on a small trained one.
#
# **Assumed:** finite sums, permutations, functions; matrices as tables of numbers; a little Python with NumPy. You need not
# have trained a network before.
#
# **Whose is what.** The method (score the units, sort them, keep prefixes) is the paper's: *REDS: Resource-Efficient Deep
# Subnetworks for Dynamic Resource Constraints* (arXiv [2311.13349](https://arxiv.org/abs/2311.13349)). That hidden units can be
# exchanged is common knowledge. The formulation by channel groups, "prefix = mask" and its limits are derived here, without a
# claim of novelty; see [whose is what](../../proofs/whose_is_what.md).
#
# In sections 1 to 4 all numbers are integers or fractions, and `assert` means *equal*. From section 5 on there are real
# networks with floating-point numbers, where the order of a sum matters in the last digits; there we ask for *close*, and say
# how close.

# %% [markdown]
# ## 1. Two hidden units on paper
#
# One input x, two hidden units, one output. A hidden unit computes relu(weight * x - mean), where relu(z) = max(z, 0). The
# output is the sum of the hidden values, each times the *outgoing* weight of its unit.
#
# | unit | weight | mean | outgoing |
# |---|---|---|---|
# | A | 1 | 0 | 5 |
# | B | 2 | 3 | 7 |
#
# By hand: for x = 2 unit A gives relu(2) = 2, unit B gives relu(4 - 3) = 1, and the output is 5 * 2 + 7 * 1 = 17.

# %%
from typing import NamedTuple


class Unit(NamedTuple):
    weight: int
    mean: int
    outgoing: int


def relu(z):
    return max(z, 0)


def network(units, x, act=relu):
    return sum(u.outgoing * act(u.weight * x - u.mean) for u in units)


A, B = Unit(1, 0, 5), Unit(2, 3, 7)
assert network([A, B], 1) == 5
assert network([A, B], 2) == 17

# %% [markdown]
# A unit is a **bundle**: everything that belongs to it. The output is a sum with one term for each bundle. A sum does not
# depend on the order of its terms, so the bundles may stand in any order. That is the whole theorem, for one layer.
#
# Let us be thorough: six random units, all 720 orders, and several inputs.

# %%
import random
from itertools import permutations

rng = random.Random(0)
units = [Unit(*(rng.randint(-9, 9) for _ in range(3))) for _ in range(6)]
for x in range(-3, 4):
    assert {network(order, x) for order in permutations(units)} == {network(units, x)}
print("720 orders, one function")

# %% [markdown]
# What goes wrong in practice is that a part of the bundle stays behind. Exchange A and B, and forget once the means, once the
# outgoing weights:

# %%
rows = {
    "A, B": [A, B],
    "B, A, everything moved": [B, A],
    "B, A, the means forgotten": [Unit(2, 0, 7), Unit(1, 3, 5)],
    "B, A, the outgoing forgotten": [Unit(2, 3, 5), Unit(1, 0, 7)],
}
outputs = {name: (network(row, 1), network(row, 2)) for name, row in rows.items()}
for name, values in outputs.items():
    print(f"{name:<30} x = 1, 2: {values}")
assert outputs["A, B"] == outputs["B, A, everything moved"] == (5, 17)
assert outputs["B, A, the means forgotten"] == (14, 28)
assert outputs["B, A, the outgoing forgotten"] == (7, 19)

# %% [markdown]
# The third row is the mistake that is easiest to make: the mean of a batch norm is not *trained*, so it lives in another place
# than the weights, and is left behind.
#
# Proof page: [permutation_invariance.md](../../proofs/permutation_invariance.md). Coq:
# [`network_permutation_invariant`](../../proofs/coq/Network.v),
# [`missed_mean_changes_the_function`](../../proofs/coq/NetworkExamples.v). Test:
# [`test_a_mean_that_is_not_permuted_is_caught`](../../tests/testing/test_assertions.py).
#
# ## 2. The same in matrices
#
# With more inputs and outputs the bundles become columns and rows: unit i owns column i of W1, entry i of the bias b, and row i
# of W2. To reorder, index all three with the same permutation. The entries are exact fractions.

# %%
from fractions import Fraction

import numpy as np


def fractions(*shape):
    entries = [Fraction(rng.randint(-9, 9), rng.randint(1, 9)) for _ in range(int(np.prod(shape)))]
    return np.array(entries, dtype=object).reshape(shape)


W1, b, W2 = fractions(3, 4), fractions(4), fractions(4, 2)  # 3 inputs, 4 hidden units, 2 outputs


def two_layers(x, W1, b, W2):
    return np.maximum(x @ W1 + b, 0) @ W2


x = fractions(5, 3)  # five inputs at once
before = two_layers(x, W1, b, W2)
for order in permutations(range(4)):
    s = list(order)
    assert (two_layers(x, W1[:, s], b[s], W2[s, :]) == before).all()
s = [1, 0, 2, 3]
assert (two_layers(x, W1[:, s], b[s], W2) != before).any()  # the rows of W2 left behind
print("24 orders, equal to the last digit of", before[0, 0])

# %% [markdown]
# In a deep network every hidden layer may be reordered on its own. So each function has very many sets of weights. For five
# hidden layers of 64 units:

# %%
from math import factorial

copies = factorial(64) ** 5
print("a number with", len(str(copies)), "digits")
assert len(str(copies)) == 446

# %% [markdown]
# Sorting picks one of these sets of weights: the one where every layer descends in importance. The function stays, but now
# *prefixes* mean something.
#
# ## 3. A prefix is a mask
#
# Keep the first n units of every hidden layer and throw the rest away. The claim is that this is the same as running the *full*
# network and multiplying the other units by 0, **after** the activation.
#
# To see that the place matters, take the activation act(z) = z + 1, for which act(0) = 1. Input x = 1, units with weights 1 and
# 2, outgoing weights 5 and 7, and keep the first.


# %%
def plus_one(z):
    return z + 1


kept, dropped = Unit(1, 0, 5), Unit(2, 0, 7)
full = network([kept, dropped], 1, plus_one)
cut = network([kept], 1, plus_one)
mask_after = kept.outgoing * plus_one(kept.weight) + dropped.outgoing * (plus_one(dropped.weight) * 0)
mask_before = kept.outgoing * plus_one(kept.weight) + dropped.outgoing * plus_one(dropped.weight * 0)
print("full", full, " cut", cut, " mask after", mask_after, " mask before", mask_before)
assert (full, cut, mask_after, mask_before) == (31, 10, 10, 17)

# %% [markdown]
# With relu both masks agree, as relu(0) = 0. So the mistake hides until somebody takes a sigmoid (act(0) = 1/2), or puts a bias
# or a batch norm between the mask and the activation: then the unit gives act(0 + bias).
#
# In matrices, for all prefixes and both activations:

# %%
for act in (lambda z: np.maximum(z, 0), plus_one):
    for n in range(1, 5):
        keep = np.array([1 if i < n else 0 for i in range(4)])
        prefix = act(x @ W1[:, :n] + b[:n]) @ W2[:n, :]
        masked = (act(x @ W1 + b) * keep) @ W2
        assert (prefix == masked).all()
        mask_on_the_sum = act((x @ W1) * keep + b) @ W2
        if n < 4:
            assert (mask_on_the_sum != prefix).any()  # the bias comes after the mask: wrong, even with relu

# %% [markdown]
# **Proof.** Follow both networks from the input to the output, and keep two sentences true: *on the kept channels, the masked
# network carries what the cut one carries; on the others it carries 0.* A layer that mixes channels is a sum over the channels
# before it; the terms of the others are 0, so what is left is the sum of the cut network. A step that treats channels one by
# one does the same to the kept channels in both; on the others it may make anything out of 0, and the mask after it restores
# the 0.
#
# Note what the proof asks of a mixing layer: that it sends a zero channel to zero. It may not look at *how many* channels there
# are.
#
# Proof page: [prefix_and_batch_norm.md](../../proofs/prefix_and_batch_norm.md). Coq:
# [`network_prefix_is_mask`](../../proofs/coq/Network.v),
# [`mask_before_activation_is_wrong`](../../proofs/coq/NetworkExamples.v). Test:
# [`test_random_networks_have_every_property`](../../tests/testing/test_network_properties.py).
#
# ## 4. Two kinds of normalisation
#
# **Batch norm** shifts and scales each channel by numbers of that channel alone. With *stored* numbers it is a step that treats
# channels one by one, and everything above holds. But are the stored numbers still the right ones? Let x be 1 or 3, let the
# hidden units be A = x and B = 2x, let the next layer compute z = A + B, subtract the mean of z, and apply relu.


# %%
def mean(values):
    return Fraction(sum(values), len(values))


full_z = [x + 2 * x for x in (1, 3)]
cut_z = [1, 3]
rows = {
    "full": [relu(z - mean(full_z)) for z in full_z],
    "cut, statistics of the full network": [relu(z - mean(full_z)) for z in cut_z],
    "cut, statistics of its own": [relu(z - mean(cut_z)) for z in cut_z],
}
for name, values in rows.items():
    print(f"{name:<36}", *values)
assert rows == {
    "full": [0, 3], "cut, statistics of the full network": [0, 0], "cut, statistics of its own": [0, 1],
}  # fmt: skip

# %% [markdown]
# The second row is the network of the theorem. It has lost all information about x. The third is a *different* network, and a
# better one. That is why the library recalibrates batch norm for each subnetwork. (The paper fine-tunes the scale and the shift
# of batch norm.)
#
# **Layer normalisation** subtracts the mean over the *channels*. Reordering is harmless, since a mean does not care about
# order. But the mean of a prefix is another mean: it looks at how many channels there are.


# %%
def subtract_channel_mean(channels):
    return [c - mean(channels) for c in channels]


channels = [5, 1, 3]
for s in permutations(range(3)):  # reordering commutes with it
    assert subtract_channel_mean([channels[i] for i in s]) == [subtract_channel_mean(channels)[i] for i in s]

cut_channel = subtract_channel_mean([1])[0]
masked_channel = subtract_channel_mean([1, 1 * 0])[0]
print("two channels (1, 1), keep the first: cut", cut_channel, " masked", masked_channel)
assert cut_channel == 0
assert masked_channel == Fraction(1, 2)

# %% [markdown]
# The division that follows in a real layer norm cannot repair this: 0 divided by a positive number is 0, and 1/2 is not. Coq:
# [`layer_norm_permutation_equivariant`, `layer_norm_not_prefix_nested`](../../proofs/coq/NetworkExamples.v). Test:
# [`test_layer_norm_is_permutation_equivariant_but_not_nested`](../../tests/testing/test_assertions.py).
#
# ## 5. The library: who moves with whom?
#
# Now a real network: a convolution, a depthwise and a pointwise convolution, two dense layers, in plain flax.linen. It knows
# nothing of widths: the library runs the program of the whole network with its parameters cut.

# %%
import flax.linen as nn
import jax
from rich.console import Console

import reds_jax

jax.config.update("jax_platforms", "cpu")  # small enough for any computer, and in full single precision


class Small(nn.Module):
    @nn.compact
    def __call__(self, x, train=False):  # [N, 28, 28, 1]
        x = nn.Conv(24, (3, 3), (2, 2), name="stem")(x)  # [N, 14, 14, 24]
        x = nn.relu(nn.BatchNorm(not train, name="stem_norm")(x))
        x = nn.Conv(24, (3, 3), (2, 2), feature_group_count=24, name="depthwise")(x)  # [N, 7, 7, 24]
        x = nn.relu(nn.BatchNorm(not train, name="depthwise_norm")(x))
        x = nn.Conv(48, (1, 1), name="pointwise")(x)  # [N, 7, 7, 48]
        x = nn.relu(nn.BatchNorm(not train, name="pointwise_norm")(x))
        x = nn.max_pool(x, (2, 2), (2, 2)).reshape(len(x), -1)  # [N, 3 * 3 * 48]
        x = nn.relu(nn.Dense(64, name="hidden")(x))
        return nn.Dense(10, name="logits")(x)


model = Small()
image = np.zeros((1, 28, 28, 1), np.float32)
variables = jax.jit(model.init)(jax.random.key(0), image)

# %% [markdown]
# In section 1 we knew the bundle of each unit. Here nobody declares it: `trace` reads the program of the network once, and
# finds the **channel groups**: the axes, of all arrays, that have to be reordered together.

# %%
graph = reds_jax.trace(model, variables, image)
names = [group.name for group in graph.groups]
print("groups:", [(group.name, group.size) for group in graph.groups])
for parameter in graph.parameters:
    axes = ["-" if axis is None else names[axis.group.max()] for axis in parameter.axes]
    print(f"{parameter.path:<34} {parameter.shape!s:<16}", ", ".join(axes))
assert names == ["stem", "pointwise", "hidden"]

# %% [markdown]
# Read it line by line. The group `stem` owns the kernel and bias of its convolution, *both* batch norms around the depthwise
# convolution with their means and variances, the depthwise kernel, and the input axis of `pointwise/kernel`. The first axis of
# `hidden/kernel` has 432 rows for the 48 channels of `pointwise`: the reshape turned each channel into 3 x 3 rows, 48 apart.

# %%
of_stem = {p.path for p in graph.parameters if any(a is not None and a.group.max() == names.index("stem") for a in p.axes)}
assert "batch_stats/stem_norm/mean" in of_stem
assert "batch_stats/depthwise_norm/var" in of_stem
assert "params/pointwise/kernel" in of_stem
assert not any("hidden" in path for path in of_stem)

# %% [markdown]
# Is it right? `reds_jax.testing` puts any module under the two theorems. `interpret` runs the network in NumPy, operation by
# operation. With small integers as weights its results are exact, so for a network of dense layers we may ask for tolerance 0.

# %%
from reds_jax.models import DNN
from reds_jax.testing import assert_permutation_invariant, assert_prefix_is_mask, interpret, random_variables

numbers = np.random.default_rng(0)
x = numbers.integers(-3, 4, (4, 7)).astype(np.float32)
dense = DNN(classes=3, features=(6, 5))
integers = random_variables(dense, x, seed=1, integers=True)
assert_permutation_invariant(dense, integers, x, evaluate=interpret, tolerance=0)
assert_prefix_is_mask(dense, integers, x, evaluate=interpret, tolerance=0)

x = numbers.normal(size=(2, 28, 28, 1)).astype(np.float32)
floats = random_variables(model, x, seed=2)
assert_permutation_invariant(model, floats, x, evaluate=interpret, tolerance=1e-9)  # in double precision
assert_prefix_is_mask(model, floats, x, evaluate=interpret, tolerance=1e-9)

# %% [markdown]
# ## 6. Does the order matter for anything? A small trained network
#
# Sorting is free. It does not follow that it is *useful*; no theorem says so. So we look: train the network for a moment on
# rendered shapes (the library makes them up; no download), score the units, and sort.

# %%
from reds_jax import data, importance
from reds_jax.pipeline import scoring_batches
from reds_jax.training import FitConfig, evaluate, fit, recalibrate

shapes = data.load("fashion_mnist", "synthetic")
print(shapes.source, "|", len(shapes.train), "images |", ", ".join(shapes.class_names))
config = FitConfig(epochs=8, batch_size=50)
quiet = Console(quiet=True)
trained = fit(model, variables, [1.0], shapes.train, shapes.validation, config, normalise=shapes.normalise, console=quiet)
variables = {"params": trained.params, "batch_stats": trained.batch_stats[0]}
print(f"validation accuracy {trained.best_accuracy:.1%}")
assert trained.best_accuracy > 0.5

# %% [markdown]
# An importance score answers: how much would the loss change without this weight? To first order, |w * dL/dw|, summed over the
# weights of a unit. The paper adds up the gradients of all mini-batches first and takes the absolute value then (`"taylor"`).
# In a network that is trained to the end these sums are close to zero, so we look at the variant that takes absolute values
# batch by batch as well (`"taylor_absolute"`).


# %%
def scores_by(method):
    batches = scoring_batches(shapes, batches=20, batch_size=100, seed=0)
    return importance.score(method, model, variables, graph, batches, preprocess=shapes.normalise)


scores = scores_by("taylor_absolute")
ordered = reds_jax.permute(variables, graph, scores)
orders = {
    "as trained": variables,
    "sorted, taylor": reds_jax.permute(variables, graph, scores_by("taylor")),
    "sorted, taylor_absolute": ordered,
    "sorted backwards": reds_jax.permute(variables, graph, {name: -s for name, s in scores.items()}),
}
run = jax.jit(reds_jax.Slimmable(model).apply, static_argnames="width")
x = shapes.normalise(shapes.validation.images[:50])
reference = run(variables, x)
for name, weights in orders.items():
    difference = float(abs(run(weights, x) - reference).max())
    print(f"{name:<26} differs by {difference:.1e} in outputs of size {float(abs(reference).max()):.0f}")
    assert difference < 1e-3

# %% [markdown]
# Four sets of weights, one function: the differences are rounding. Now keep a prefix of every layer, without any further
# training; only the batch statistics are those of each width (section 4).

# %%
import matplotlib.pyplot as plt

FRACTIONS = (0.25, 0.5, 0.75, 1.0)
widths = [graph.widths(fraction) for fraction in FRACTIONS]


def accuracies(weights):
    stats = recalibrate(model, weights, widths, shapes.train.images, key=jax.random.key(0), batches=10,
                        normalise=shapes.normalise)  # fmt: skip
    found = evaluate(model, weights["params"], stats, widths, shapes.validation.images, shapes.validation.labels,
                     normalise=shapes.normalise)  # fmt: skip
    return [each.accuracy for each in found]


accuracy = {name: accuracies(weights) for name, weights in orders.items()}
figure, panel = plt.subplots(figsize=(6, 3.2), layout="constrained")
for name, values in accuracy.items():
    panel.plot(FRACTIONS, values, ".-", label=name)
    print(f"{name:<26}", *(f"{value:7.1%}" for value in values))
panel.set_xlabel("fraction of every layer kept")
panel.set_ylabel("validation accuracy")
panel.legend(fontsize=8)
plt.show()

# %%
at_full_width = [values[-1] for values in accuracy.values()]
assert max(at_full_width) - min(at_full_width) < 0.01  # one function, up to rounding
average = {name: sum(values[:-1]) / len(values[:-1]) for name, values in accuracy.items()}
assert average["sorted, taylor_absolute"] > average["sorted backwards"] + 0.1

# %% [markdown]
# At full width all agree, as they must. Cut, the order decides. These are numbers of one small network on made-up images: they
# show *that* the order matters, not how much it will on yours. (After the cut the library trains all subnetworks together; this
# is only the starting point.)
#
# A half-width run, the half-width network cut out as ordinary arrays, and the masked full network are one function:

# %%
from reds_jax.testing import masked_apply

half = graph.widths(0.5)
subnetwork, small = reds_jax.extract(model, ordered, graph, half)
narrow = run(ordered, x, width=half)
cut_out = jax.jit(subnetwork.apply)(small, x)
(masked,) = masked_apply(model, ordered, x, graph, half)
assert np.allclose(narrow, masked, atol=1e-3)
assert np.allclose(cut_out, masked, atol=1e-3)
print("hidden kernel", variables["params"]["hidden"]["kernel"].shape, "->", small["params"]["hidden"]["kernel"].shape)
print(f"{graph.macs(half):,} of {graph.macs():,} multiply-accumulates: {graph.macs(half) / graph.macs():.1%}")
assert small["params"]["hidden"]["kernel"].shape == (24 * 9, 32)

# %% [markdown]
# Half of every layer, but only a third of the operations: a layer costs width in *times* width out (the stem reads the image,
# which is not cut). That product is the subject of [what the theorem does not say](what_the_theorem_does_not_say.py).
#
# ## 7. Counterexamples: three ways to get it wrong
#
# **A mean left behind.** Sort everything but one array of batch statistics.

# %%
forgetful = jax.tree.map(lambda a: a, ordered)
forgetful["batch_stats"]["stem_norm"]["mean"] = variables["batch_stats"]["stem_norm"]["mean"]
left_behind = float(abs(run(forgetful, x) - reference).max())
print(f"the outputs are off by {left_behind:.2f}")
assert left_behind > 0.01

# %% [markdown]
# **The mask before the activation.** The library can play the masked network with the mask in the wrong place: `skip` leaves
# the results of a sigmoid unmasked, so that a dropped unit gives sigmoid(0) = 1/2.


# %%
class Sigmoid(nn.Module):
    @nn.compact
    def __call__(self, x):
        return nn.Dense(2, name="logits")(nn.sigmoid(nn.Dense(6, name="hidden")(x)))


x6 = numbers.normal(size=(3, 4)).astype(np.float32)
weights6 = random_variables(Sigmoid(), x6)
graph6 = reds_jax.trace(Sigmoid(), weights6, x6)
(prefix,) = interpret(lambda v, x: reds_jax.Slimmable(Sigmoid()).apply(v, x, width=graph6.widths([2])), weights6, x6)
(right,) = masked_apply(Sigmoid(), weights6, x6, graph6, [2])
(wrong,) = masked_apply(Sigmoid(), weights6, x6, graph6, [2], skip=frozenset({"logistic"}))
print("mask after:", abs(right - prefix).max(), "  mask before:", abs(wrong - prefix).max())
assert abs(right - prefix).max() < 1e-9
assert abs(wrong - prefix).max() > 1e-3

# %% [markdown]
# **A layer norm.** Its channels stay at full width in every subnetwork, and the graph says so: the layer, the reason, the line.

# %%
class LayerNormed(nn.Module):
    @nn.compact
    def __call__(self, x):
        x = nn.Dense(6, name="hidden")(x)
        return nn.Dense(2, name="logits")(x - x.mean(-1, keepdims=True))


found = reds_jax.trace(LayerNormed(), random_variables(LayerNormed(), x6), x6)
print(found.summary())
assert found.groups == ()
assert "reduces over channels" in next(p.reason for p in found.pinned if p.path == "hidden")

# %% [markdown] tags=["exercise"]
# ## Exercises
#
# They grow harder. Each has its solution below it; the code of the solutions runs with the notebook.
#
# ### Exercise 1. Count
#
# A network has hidden layers of 3 and 2 units. How many of the sets of weights that arise by reordering are there, if no two
# units are equal? With relu there are further sets of weights with the same function: find a family with infinitely many.

# %% [markdown] tags=["solution"]
# #### Solution 1
#
# <details><summary>In words</summary>
#
# 3! * 2! = 12. And relu(c z) = c relu(z) for c > 0: multiply the incoming weights and the bias of a unit by c, and divide its
# outgoing weights by c. (So the size of the weights alone says little about importance.)
# </details>

# %% tags=["solution"]
U, V, W = fractions(2, 3), fractions(3, 2), fractions(2, 1)


def three_layers(x, U, V, W):
    return np.maximum(np.maximum(x @ U, 0) @ V, 0) @ W


x = fractions(6, 2)
seen = set()
for s in map(list, permutations(range(3))):
    for t in map(list, permutations(range(2))):
        reordered = U[:, s], V[np.ix_(s, t)], W[t]
        assert (three_layers(x, *reordered) == three_layers(x, U, V, W)).all()
        seen.add(tuple(entry for array in reordered for entry in array.ravel()))
assert len(seen) == factorial(3) * factorial(2) == 12

c = Fraction(7, 3)
scale = np.array([c, 1, 1], dtype=object)
assert (three_layers(x, U * scale, V / scale[:, None], W) == three_layers(x, U, V, W)).all()

# %% [markdown] tags=["exercise"]
# ### Exercise 2. A subnetwork of a subnetwork
#
# Show that cutting to m units and then to n <= m is cutting to n. Then the less obvious direction: is *masking* to m and then
# cutting to n the same as well?

# %% [markdown] tags=["solution"]
# #### Solution 2
#
# <details><summary>In words</summary>
#
# Cutting to m throws away all numbers from m on, cutting the result to n those from n on. What is left are the first n. Masked
# to m, the units from m on carry 0; all of them are among the units from n on, which the cut throws away. Coq:
# [`network_prefix_composes`, `network_masks_compose`](../../proofs/coq/Network.v).
# </details>

# %% tags=["solution"]
x = fractions(5, 3)
for m in range(1, 5):
    keep = np.array([1 if i < m else 0 for i in range(4)])
    for n in range(1, m + 1):
        directly = two_layers(x, W1[:, :n], b[:n], W2[:n])
        assert (two_layers(x, W1[:, :m][:, :n], b[:m][:n], W2[:m][:n]) == directly).all()
        assert ((np.maximum(x @ W1 + b, 0) * keep)[:, :n] @ W2[:n] == directly).all()

# %% [markdown] tags=["exercise"]
# ### Exercise 3. When is the early mask harmless?
#
# A unit computes act(gamma * z + beta), and the mask sits on z. For which activations and beta does this early mask give the
# cut network, whatever the outgoing weights are?

# %% [markdown] tags=["solution"]
# #### Solution 3
#
# <details><summary>In words</summary>
#
# A dropped unit gives act(beta), whatever z was. Its contribution is act(beta) times its outgoing weight, and this is 0 for all
# outgoing weights if and only if act(beta) = 0. With relu: beta <= 0. So a network can pass every test as long as its shifts
# are 0, as they are before training, and fail afterwards.
# </details>

# %% tags=["solution"]
betas = range(-3, 4)
harmless = [beta for beta in betas if all(out * relu(4 * (z * 0) + beta) == 0 for out in (-1, 1) for z in betas)]
assert harmless == [-3, -2, -1, 0] == [beta for beta in betas if relu(beta) == 0]

# %% [markdown] tags=["exercise"]
# ### Exercise 4. Why a residual ties
#
# y = u + v, where u and v are the outputs of two layers of two units each, and the next layer reads y with the weights (1, 3).
# Find numbers where reordering u alone (and the next layer with it) changes the output. Which single permutation for u, v and
# the next layer is allowed?

# %% [markdown] tags=["solution"]
# #### Solution 4
#
# <details><summary>In words</summary>
#
# Almost any numbers: after exchanging u alone, channel 0 of the sum adds u1 to v0. With one permutation for all three, channel
# i of the sum is the old channel s(i), and the next layer reads it with the old weight. So the operands and the result of an
# addition share a group, and the library keeps the *same* channels of both.
# </details>

# %% tags=["solution"]
u, v, reads = np.array([1, 0]), np.array([0, 10]), np.array([1, 3])
s = [1, 0]
original = (u + v) @ reads
assert (u[s] + v) @ reads[s] != original
assert (u[s] + v[s]) @ reads[s] == original


class Residual(nn.Module):
    @nn.compact
    def __call__(self, x):
        u = nn.Dense(5, name="first")(x)
        return nn.Dense(2, name="logits")(nn.relu(u + nn.Dense(5, name="second")(u)))


tied = reds_jax.trace(Residual(), random_variables(Residual(), x6), x6)
print("one group:", [(group.name, group.size) for group in tied.groups])
assert [group.size for group in tied.groups] == [5]

# %% [markdown] tags=["exercise"]
# ### Exercise 5. A normalisation that can be nested
#
# Layer norm fails because a mean counts the channels. Find a normalisation over channels that (a) can be permuted, (b) treats a
# prefix like a mask, and (c) is not just a step for each channel alone. Then state which reductions over channels are allowed
# in general.

# %% [markdown] tags=["solution"]
# #### Solution 5
#
# <details><summary>In words</summary>
#
# Divide by 1 + the *sum* of squares: x_i / (1 + x_0² + x_1² + ...). A sum does not care about order, which gives (a). A zero
# adds nothing to it, and a zero channel stays zero, which gives (b). In general a reduction r is allowed if it is symmetric,
# and r(x_0, ..., x_n, 0) = r(x_0, ..., x_n): sums, maxima of non-negative numbers, counts of the channels that are not 0. The
# mean, the variance and the minimum are not of this kind. (As a mathematical statement: the library's `trace` is more careful,
# and does not cut channels over which anything is reduced.)
# </details>


# %% tags=["solution"]
def by_the_sum(channels):
    return [Fraction(c, 1 + sum(d * d for d in channels)) for c in channels]


for _ in range(200):
    channels = [rng.randint(-9, 9) for _ in range(5)]
    for s in permutations(range(5)):
        assert by_the_sum([channels[i] for i in s]) == [by_the_sum(channels)[i] for i in s]
    for n in range(6):
        masked = by_the_sum(channels[:n] + [0] * (5 - n))
        assert masked[:n] == by_the_sum(channels[:n])
        assert masked[n:] == [0] * (5 - n)

# %% [markdown] tags=["exercise"]
# ### Exercise 6. Your own module
#
# A *gate* multiplies each channel by a number between 0 and 1 that is computed from all of them: g = sigmoid(V relu(U x)), the
# output is g * x. Is it permutation invariant? Is a prefix a mask? Predict, then ask the library. What would happen with a bias
# in U?

# %% [markdown] tags=["solution"]
# #### Solution 6
#
# <details><summary>In words</summary>
#
# Yes and yes. U reads the channels by a sum in which zero channels count nothing; V makes one number for each channel, and its
# outputs are multiplied with x, so they share the group of x. A dropped channel is multiplied by sigmoid(0) = 1/2, not by 0;
# but it is 0 itself. A bias in U belongs to the *inner* units and changes nothing in this argument. (This is the squeeze-and-
# excite block of Hu et al. 2018.)
# </details>


# %% tags=["solution"]
class Gated(nn.Module):
    bias: bool

    @nn.compact
    def __call__(self, x):
        x = nn.relu(nn.Dense(6, name="hidden")(x))
        inner = nn.relu(nn.Dense(3, self.bias, name="squeeze")(x))
        gate = nn.sigmoid(nn.Dense(6, name="excite")(inner))
        return nn.Dense(2, name="logits")(gate * x)


for bias in (False, True):
    gated = random_variables(Gated(bias), x6, seed=3)
    found = reds_jax.trace(Gated(bias), gated, x6)
    assert [(group.name, group.size) for group in found.groups] == [("hidden", 6), ("squeeze", 3)]
    assert_permutation_invariant(Gated(bias), gated, x6, evaluate=interpret, tolerance=1e-9)
    assert_prefix_is_mask(Gated(bias), gated, x6, evaluate=interpret, tolerance=1e-9)
print("both hold; `hidden` and `excite` are one group")

# %% [markdown]
# Next: [the nested knapsack](the_nested_knapsack.py). Units are sorted; how many of each layer should a small network keep, if
# it has to lie inside a larger one?
