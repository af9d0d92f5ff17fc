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
# # The nested knapsack
#
# A small network inside a larger one: whoever chooses them packs two knapsacks, and the small packing has to be a part of the
# large one. How much does this *nesting* cost? We start with four items on paper and end with theorems, instances on which the
# theorems are used up, and an honest attempt to break them.
#
# **At the end you will know**
#
# - what bottom-up and top-down chains are, and why they can differ from the optimum;
# - that bottom-up keeps k/(k+1) of the optimum (2/3 for c and 2c) and top-down 1/2, why, and why no larger number is true;
# - what running both is worth, and what several stages and small items change;
# - how to attack such a theorem: random search is too weak, a tight family with noise is not.
#
# **Assumed:** sets, sums, proof by cases (a first course in discrete mathematics) and a little Python. No neural networks.
#
# **Whose is what.** The two theorems for the capacities c and 2c, each with its tight instance, are the paper's: *REDS:
# Resource-Efficient Deep Subnetworks for Dynamic Resource Constraints* (arXiv [2311.13349](https://arxiv.org/abs/2311.13349),
# appendix). Everything else on this page (other capacities, several stages, granularity, running both) but the remark in
# exercise 2 is derived here, without a claim of novelty; see [whose is what](../../proofs/whose_is_what.md).
#
# All numbers below are integers or fractions. Nothing is rounded, so `assert` means *equal*, or *at least*, and not *about*.

# %% [markdown]
# ## 1. Four items on paper
#
# Items have a weight and a profit. Take a pencil: which items fit a knapsack of capacity 3 with the largest profit? Which fit
# 6?
#
# | item | a | b | c | d |
# |---|---|---|---|---|
# | weight | 3 | 2 | 2 | 2 |
# | profit | 101 | 100 | 100 | 100 |

# %%
from fractions import Fraction
from itertools import combinations

ITEMS = {"a": (3, 101), "b": (2, 100), "c": (2, 100), "d": (2, 100)}


def weight(chosen):
    return sum(ITEMS[i][0] for i in chosen)


def profit(chosen):
    return sum(ITEMS[i][1] for i in chosen)


def subsets(of):
    return [frozenset(s) for size in range(len(of) + 1) for s in combinations(sorted(of), size)]


assert len(subsets(ITEMS)) == 2**4

# %% [markdown]
# With sixteen subsets we can simply look at all of them. `best` also knows the two restrictions that we shall need: the set
# must stay `inside` one set, and go `around` another.


# %%
def best(capacity, *, inside=frozenset(ITEMS), around=frozenset()):
    allowed = [s for s in subsets(inside) if around <= s and weight(s) <= capacity]
    return max(allowed, key=profit)


OPT = {c: profit(best(c)) for c in (3, 6)}
print(sorted(best(3)), OPT[3], "and", sorted(best(6)), OPT[6])
assert OPT == {3: 101, 6: 300}
assert not best(3) <= best(6)

# %% [markdown]
# The last line is the whole difficulty: the optimum at 3 is not a part of the optimum at 6. As subnetworks, the two could not
# share their weights.
#
# ## 2. Two ways to nest
#
# - **Bottom-up:** A1 is optimal at the small capacity. Freeze it. A2 is the best set that *contains* A1 and fits the large one.
# - **Top-down:** D2 is optimal at the large capacity. D1 is the best *part* of D2 that fits the small one.

# %%
A1 = best(3)
A2 = best(6, around=A1)
D2 = best(6)
D1 = best(3, inside=D2)
print("bottom-up", profit(A1), profit(A2))
print("top-down ", profit(D1), profit(D2))
assert (profit(A1), profit(A2)) == (101, 201)
assert (profit(D1), profit(D2)) == (100, 300)
assert A1 <= A2
assert D1 <= D2

# %% [markdown]
# Bottom-up took item `a` for one unit of profit. At capacity 6 this item is in the way: 201 of 300 = 0.67.
#
#     weight     0     1     2     3     4     5     6
#                |-----|-----|-----|-----|-----|-----|
#     A1         [    3 : 101     ]                      101 = OPT(3)
#     A2         [    3 : 101     ][ 2 : 100  ]          201
#     optimum    [ 2 : 100  ][ 2 : 100  ][ 2 : 100  ]    300 = OPT(6)
#
# Bottom-up is always optimal at the small end, top-down at the large end. Each may lose at the other. The library has both, for
# any number of capacities and of items:

# %%
from reds_jax.theory import Instance, bottom_up, joint_optimum, optimum, top_down

paper_and_pencil = Instance.of((3, 101), (2, 100), (2, 100), (2, 100))
assert bottom_up(paper_and_pencil, (3, 6)).values == (101, 201)
assert top_down(paper_and_pencil, (3, 6)).values == (100, 300)
print(bottom_up(paper_and_pencil, (3, 6)).sets, top_down(paper_and_pencil, (3, 6)).sets)

# %% [markdown]
# ## 3. How bad can bottom-up be?
#
# Let c1 < c2, let k be the integer part of c2/c1, and let **every item fit c1**. This *standing assumption* stays in force
# until exercise 2.
#
# > **T1.** p(A2) >= k/(k+1) OPT(c2), and no larger constant is possible, for any c1 < c2.
#
# At c2 = 2 c1 this is 2/3, the paper's theorem. The proof needs one idea, [the three-parts
# lemma](../../proofs/three_parts_lemma.md):
#
# > Let what O and A share fit c. Then either O fits c, or O falls into three disjoint parts b, {s} and f with w(b) <= c <
# > w(b) + w(s), where s and f have nothing in common with A, and no item of f is worth less than s.
#
# *Proof, as a program:* lay the items of O in a row, those in A first, the others by increasing profit. Walk until the capacity
# is exceeded. The item that exceeds it is s.


# %%
def three_parts(items, O, A, c):
    """(b, s, f), or None if all of O fits c."""
    row = [i for i in O if i in A] + sorted((i for i in O if i not in A), key=lambda i: items.profits[i])
    for n, s in enumerate(row):
        if items.weight(row[: n + 1]) > c:
            return set(row[:n]), s, set(row[n + 1 :])
    return None


b, s, f = three_parts(paper_and_pencil, O={1, 2, 3}, A={0}, c=3)
print("b =", b, " s =", s, " f =", f)
assert (b, s, f) == ({1}, 2, {3})

# %% [markdown]
# The lemma on a thousand random pairs of sets. (Of course this proves nothing; the proof is above, and Coq has checked it as
# [`ordered_parts`](../../proofs/coq/Knapsack.v). It shows that we have understood the statement. The project's test:
# [`test_the_three_parts_lemma`](../../tests/property/test_parts.py).)

# %%
import random

rng = random.Random(0)


def random_items(n, heaviest, dearest):
    return Instance.of(*[(rng.randint(1, heaviest), rng.randint(1, dearest)) for _ in range(n)])


split = 0
for _ in range(1000):
    items = random_items(6, 6, 9)
    O, A = ({i for i in range(6) if rng.random() < 0.6} for _ in range(2))
    c = rng.randint(1, 15)
    if items.weight(O & A) <= c and (parts := three_parts(items, O, A, c)):
        b, s, f = parts
        split += 1
        assert items.weight(b) <= c < items.weight(b) + items.weights[s]
        assert not ({s} | f) & A
        assert all(items.profits[i] >= items.profits[s] for i in f)
        if items.weight(A) <= c:
            assert items.weight(A) + items.weight(f) < items.weight(O)  # f fits on top of A wherever O fits
print(split, "of the pairs were split")
assert split > 100

# %% [markdown]
# **Proof of T1.** Let O be optimal at c2, and split it with A = A1 and c = c1.
#
# 1. If O fits c1, then OPT(c2) = p(O) <= p(A1) <= p(A2).
# 2. Otherwise b fits c1, so p(b) <= p(A1); and f fits on top of A1, so p(A2) >= p(A1) + p(f) >= OPT(c2) - p(s). Only one item,
#    s, is lost.
# 3. If {s} + f has at most k - 1 items, they weigh at most (k-1) c1 <= c2 - c1: all of them fit on top of A1, and nothing is
#    lost.
# 4. Otherwise f has at least k - 1 items, each worth at least p(s), and p(A1) >= p(s), since s alone fits c1. So p(A2) >=
#    p(A1) + p(f) >= k p(s), and with step 2, OPT(c2) <= p(A2) + p(s) <= (1 + 1/k) p(A2).
#
# Here are the steps on our instance. The sentence that matters is step 4: *what is lost is one item s, and A2 is worth at least
# k times as much.*

# %%
k = 6 // 3
A1, A2 = bottom_up(paper_and_pencil, (3, 6)).sets
O = optimum(paper_and_pencil, 6).items
b, s, f = three_parts(paper_and_pencil, O, A1, 3)
p = paper_and_pencil.profit

assert p(b) <= p(A1)  # step 2
assert p(A2) >= p(A1) + p(f) >= p(O) - p([s])  # step 2
assert len({s} | f) >= k  # we are in step 4
assert p(A2) >= k * p([s])  # step 4
assert (k + 1) * p(A2) >= k * p(O)  # T1, in whole numbers
print(f"p(A2) = {p(A2)},  k/(k+1) OPT = {Fraction(k * p(O), k + 1)},  lost: {p(O) - p(A2)} <= p(s) = {p([s])}")

# %% [markdown]
# Proof page: [bottom_up.md](../../proofs/bottom_up.md). Coq: [`bottom_up_ratio`](../../proofs/coq/TwoStages.v). Test:
# [`test_t1`](../../tests/property/test_nested_knapsack.py).
#
# ## 4. And top-down?
#
# > **T2.** p(D1) >= 1/2 OPT(c1), and no larger constant is possible, for any c1 < c2.
#
# **Proof.** Let B be optimal at c1. Split D2 with A = B and c = c1. If D2 fits c1, then D1 is as good as D2, and nothing is
# lost. Otherwise D2 = b + {s} + f, and B + f fits c2. As D2 is optimal there, p(B) + p(f) <= p(b) + p(s) + p(f). Cancel p(f):
# **b + {s} is a substitute for B**, worth as much and only one item too heavy. Both b and {s} fit c1, so both are worth at most
# p(D1).
#
# An instance that uses this up: an item as heavy as c1 worth twice a regular one.

# %%
heavy_one = Instance.of((3, 200), (2, 101), (2, 101), (2, 101))
D1, D2 = top_down(heavy_one, (3, 6)).sets
B = optimum(heavy_one, 3).items
b, s, f = three_parts(heavy_one, D2, B, 3)
p = heavy_one.profit

assert p(B) <= p(b) + p([s])  # the substitute
assert max(p(b), p([s])) <= p(D1)
assert 2 * p(D1) >= p(B)
print("top-down", p(D1), "of", p(B), "=", float(Fraction(p(D1), p(B))))

# %% [markdown]
# Proof page: [top_down.md](../../proofs/top_down.md). Coq: [`top_down_half`](../../proofs/coq/TwoStages.v). Test:
# [`test_t2`](../../tests/property/test_nested_knapsack.py).
#
# ## 5. Tight instances, for all capacities
#
# A bound is only worth its sharpest instance. The library constructs one for every theorem and any capacities:
# `tight_instance`. A parameter P (profits P against P + 1) decides how close it comes. For T1 the ratio is exactly k/(k+1) +
# 1/((k+1)P).

# %%
from reds_jax.theory import bounds, tight_instance


def bottom_up_share(items, capacities):
    """p(A_N) / OPT(c_N)"""
    return Fraction(bottom_up(items, capacities).values[-1]) / optimum(items, capacities[-1]).value


def top_down_share(items, capacities):
    """p(D_1) / OPT(c_1)"""
    return Fraction(top_down(items, capacities).values[0]) / optimum(items, capacities[0]).value


print("     P   bottom-up              top-down")
for P in (10, 100, 1000, 10**6):
    one, two = tight_instance("T1", profit=P), tight_instance("T2", profit=P)
    up, down = bottom_up_share(one.instance, (3, 6)), top_down_share(two.instance, (3, 6))
    print(f"{P:>7}  {up!s:<18}  >  2/3  {down!s:<16} >  1/2")
    assert up == Fraction(2, 3) + Fraction(1, 3 * P) > bounds.bottom_up_ratio((3, 6)) == Fraction(2, 3)
    assert down == Fraction(1, 2) + Fraction(1, 2 * P) > bounds.top_down_ratio((3, 6)) == Fraction(1, 2)

# %% [markdown]
# Coq knows that these families are tight for all P and all capacities: [`bottom_up_ratio_sharp`,
# `top_down_half_sharp`](../../proofs/coq/Tight.v).
#
# A surprise hides in "for any c1 < c2": a *larger* first knapsack can make the guarantee *worse*. With c2 = 12, starting from
# c1 = 6 guarantees 2/3, starting from c1 = 7 only 1/2.

# %%
for c1 in (2, 3, 4, 6, 7, 11):
    tight = tight_instance("T1", capacities=(c1, 12), profit=10**6)
    share = bottom_up_share(tight.instance, (c1, 12))
    print(f"c1 = {c1:>2}: guaranteed {tight.bound!s:>4}, reached {float(share):.6f}")
    assert tight.bound == bounds.bottom_up_ratio((c1, 12)) == Fraction(12 // c1, 12 // c1 + 1)
    assert tight.bound < share < tight.bound + Fraction(1, 10**6)
assert bounds.bottom_up_ratio((6, 12)) > bounds.bottom_up_ratio((7, 12))

# %% [markdown]
# ## 6. Run both
#
# Bottom-up loses at the large end, top-down at the small end. Can one instance make both lose much? Hardly:
#
# > **T6.** The better of the two totals is at least (2k+4)/(2k+5) (OPT(c1) + OPT(c2)). For c and 2c that is 8/9. On some
# > instances *no nested pair at all* does better: that is the **price of nesting**.
# >
# > **T7.** max(p(D1)/OPT(c1), p(A2)/OPT(c2)) >= rho_k = ((k-1) + sqrt(k² + 2k + 5)) / (2(k+1)). For c and 2c that is (1 + sqrt
# > 13)/6 = 0.7676. It is the price of nesting in the worse stage: above it there are instances that no nested pair satisfies.
#
# The price of nesting on four items, by looking at every nested pair there is:

# %%
from reds_jax.theory import best_of_both

price = Instance.of((1, 1), (2, 2), (2, 2), (2, 2))
everything = [frozenset(s) for size in range(5) for s in combinations(range(4), size)]
pairs = [(X, Y) for X in everything for Y in everything if X <= Y and price.weight(X) <= 3 and price.weight(Y) <= 6]
best_pair = max(price.profit(X) + price.profit(Y) for X, Y in pairs)
separate = optimum(price, 3).value + optimum(price, 6).value
print(f"{len(pairs)} nested pairs, the best is worth {best_pair}; separately {separate}")
assert Fraction(best_pair, separate) == Fraction(8, 9) == bounds.nesting_ratio((3, 6))
assert best_pair == joint_optimum(price, (3, 6)).total == best_of_both(price, (3, 6)).total

# %% [markdown]
# And T7, whose bound is irrational. The library compares it with fractions exactly, by squaring in integers:

# %%
golden = tight_instance("T7", profit=23)
chain = best_of_both(golden.instance, golden.capacities, by="min_ratio")
least = min(Fraction(v) / optimum(golden.instance, c).value for v, c in zip(chain.values, chain.capacities, strict=True))
print(golden.instance, "reaches", least, "=", float(least), "and the bound is", bounds.min_ratio((3, 6)))
assert least == golden.ratio == Fraction(53, 69) > bounds.min_ratio((3, 6))
assert Fraction(7675, 10000) < bounds.min_ratio((3, 6)) < Fraction(7676, 10000)

# %% [markdown]
# Proof page: [price_of_nesting.md](../../proofs/price_of_nesting.md). Coq: [`best_of_both`,
# `min_ratio`](../../proofs/coq/TwoStages.v), [`price_of_nesting`](../../proofs/coq/Tight.v),
# [`min_ratio_price`](../../proofs/coq/Price.v). Tests: [`test_t6`,
# `test_t7`](../../tests/property/test_nested_knapsack.py).
#
# ## 7. A picture: the bound, and what is reached
#
# c2 = 60, and c1 moves from 6 to 59. One row for each theorem, one column for each P. The line is the bound; the dots are what
# the algorithms reach on the tight instance, solved anew for each dot. From left to right the dots fall onto the line.

# %%
import matplotlib.pyplot as plt


def least_share(items, capacities):
    chain = best_of_both(items, capacities, by="min_ratio")
    return min(Fraction(v) / optimum(items, c).value for v, c in zip(chain.values, capacities, strict=True))


ROWS = {"T1": ("bottom-up", bottom_up_share), "T2": ("top-down", top_down_share), "T7": ("better of both", least_share)}
figure, panels = plt.subplots(3, 3, figsize=(9, 6.5), sharex=True, sharey=True, layout="constrained")
for row, (theorem, (name, reached)) in zip(panels, ROWS.items(), strict=True):
    for panel, P in zip(row, (3, 10, 1000), strict=True):
        cases = [tight_instance(theorem, capacities=(c1, 60), profit=P) for c1 in range(6, 60)]
        shares = [reached(case.instance, case.capacities) for case in cases]
        assert all(case.bound <= share == case.ratio for case, share in zip(cases, shares, strict=True))
        x = [c1 / 60 for c1 in range(6, 60)]
        panel.step(x, [float(case.bound) for case in cases], where="mid", color="tab:red", label="bound")
        panel.plot(x, [float(share) for share in shares], ".", markersize=4, color="tab:blue", label="reached")
        panel.set_title(f"{theorem}, {name}, P = {P}", fontsize=9)
for panel in panels[-1]:
    panel.set_xlabel("c1 / c2")
panels[0, 0].set_ylim(0.4, 1.02)
panels[0, 0].legend(fontsize=8)
plt.show()

# %% [markdown]
# Read the steps of T1: the guarantee jumps down whenever one more c1 no longer fits into c2.
#
# ## 8. Several stages, and small items
#
# Budgets of 25, 50, 75 and 100 % are four stages. The *granularity* a says how small the items are: any a items fit into every
# step from one capacity to the next.
#
# > **T3.** Bottom-up: p(A_j) >= aj/(aj + j - 1) OPT(c_j), and no larger constant is possible for equal steps.

# %%
print("granularity a   stage 1, 2, 3, 4")
for a in (1, 2, 4, 25):
    ratios = bounds.granular_ratios((25, 50, 75, 100), granularity=a)
    print(f"{a:>13}  ", ", ".join(str(r) for r in ratios))
    assert ratios == tuple(Fraction(a * j, a * j + j - 1) for j in (1, 2, 3, 4))

# %% [markdown]
# Items of at most 1 % of everything (a = 25) keep at least 100/103. Small items repair almost all of the loss. The tight
# instance of three stages, by hand: c = (5, 10, 15), two blockers (5, 101) and five regular items (3, 100).

# %%
blockers = Instance.of((5, 101), (5, 101), *[(3, 100)] * 5)
print(bottom_up(blockers, (5, 10, 15)).values, "against", [optimum(blockers, c).value for c in (5, 10, 15)])
assert bottom_up(blockers, (5, 10, 15)).values == (101, 202, 302)
assert bottom_up_share(blockers, (5, 10, 15)) == Fraction(302, 500) > Fraction(3, 5)

figure, panels = plt.subplots(1, 4, figsize=(10, 2.4), sharey=True, layout="constrained")
for panel, a in zip(panels, (1, 2, 3, 4), strict=True):
    stages = range(2, 7)
    cases = [tight_instance("T3", stages=j, granularity=a, profit=1000) for j in stages]
    shares = [bottom_up_share(case.instance, case.capacities) for case in cases]
    assert all(case.bound <= share == case.ratio for case, share in zip(cases, shares, strict=True))
    panel.plot(stages, [float(case.bound) for case in cases], color="tab:red", label="bound")
    panel.plot(stages, [float(share) for share in shares], ".", color="tab:blue", label="reached")
    panel.axhline(a / (a + 1), color="grey", linewidth=0.8, linestyle=":")
    panel.set_title(f"T3, granularity {a}", fontsize=9)
    panel.set_xlabel("stages")
panels[0].legend(fontsize=8)
plt.show()

# %% [markdown]
# The dotted line is the limit a/(a+1): the bound falls with the number of stages, but never below it.
#
# Top-down over N stages is worse: **T5** guarantees 1/(N - i + 1) at stage i, whatever the capacities, and *no more* at stage
# 1: a family falls to 1/N. It has items (N+2, 2P), N - 2 times (1, P) and two times (N+1, P+1).

# %%
for N in (2, 3, 4, 5):
    tight = tight_instance("T5", stages=N, profit=1000)
    share = top_down_share(tight.instance, tight.capacities)
    print(f"N = {N}: guaranteed {tight.bound!s:>4} = {1 / N:.4f}, the family reaches {float(share):.4f}")
    assert tight.bound == Fraction(1, N) <= share == Fraction(1, N) + Fraction(1, 1000 * N)

# %% [markdown]
# Proof page: [stages_and_granularity.md](../../proofs/stages_and_granularity.md). Coq:
# [`stages_granularity`](../../proofs/coq/Stages.v), [`top_down_stages_exact`](../../proofs/coq/TopDown.v),
# [`top_down_stages_sharp`](../../proofs/coq/TightDown.v). Tests: [`test_t3`,
# `test_t5`](../../tests/property/test_nested_knapsack.py).
#
# ## 9. Trying to break it
#
# First with chance: three thousand instances, and among all optimal sets that a stage may return always the one that is worst
# for us (`ties="adversarial"`). A counterexample to T1, T2 or T6 would stop the notebook.

# %%
rng = random.Random(0)
found = {"T1": Fraction(1), "T2": Fraction(1), "T6": Fraction(1)}
for _ in range(3000):
    items = random_items(rng.randint(3, 6), 60, 100)
    c1 = rng.randint(max(items.weights), 90)
    limits = (c1, 2 * c1)
    up, down = (order(items, limits, ties="adversarial").values for order in (bottom_up, top_down))
    small, large = (optimum(items, c).value for c in limits)
    shares = {
        "T1": Fraction(up[1], large),
        "T2": Fraction(down[0], small),
        "T6": Fraction(max(sum(up), sum(down)), small + large),
    }
    for theorem, share in shares.items():
        found[theorem] = min(found[theorem], share)
BOUNDS = {"T1": Fraction(2, 3), "T2": Fraction(1, 2), "T6": Fraction(8, 9)}
for theorem, bound in BOUNDS.items():
    print(f"{theorem}: worst found {found[theorem]} = {float(found[theorem]):.4f}, bound {bound}")
    assert found[theorem] >= bound

# %% [markdown]
# No counterexample. But look how far away we stayed. Would this search have noticed a **false** theorem, with a bound that is
# 1 % too good?

# %%
STRONGER = {theorem: bound * Fraction(101, 100) for theorem, bound in BOUNDS.items()}
fooled = [theorem for theorem in STRONGER if found[theorem] >= STRONGER[theorem]]
print("claims that are false, and that three thousand random instances do not refute:", fooled)
assert fooled == ["T1", "T2", "T6"]

# %% [markdown]
# It would have believed all three. *A test that cannot fail is no test.* The tight families refute each at once:

# %%
refuted = {
    "T1": bottom_up_share(tight_instance("T1").instance, (3, 6)),
    "T2": top_down_share(tight_instance("T2").instance, (3, 6)),
    "T6": Fraction(joint_optimum(tight_instance("T6").instance, (3, 6)).total)
    / sum(optimum(tight_instance("T6").instance, c).value for c in (3, 6)),
}
for theorem, share in refuted.items():
    print(f"{theorem}: {float(BOUNDS[theorem]):.4f} <= {float(share):.4f} < {float(STRONGER[theorem]):.4f}")
    assert BOUNDS[theorem] <= share < STRONGER[theorem]

# %% [markdown]
# That is why the project's property tests draw *tight instances with noise*, and why each bound has a twin test that a slightly
# stronger bound must fail: [`test_a_stronger_bound_fails`](../../tests/property/test_bounds_are_sharp.py).
#
# ## 10. A certificate for your own instance
#
# A worst case is a promise about all instances. For one instance you can do better and measure. `certificate` takes a chain
# from anywhere, finds out which theorem applies, and sets the promise beside what was reached. All of it is exact.

# %%
from reds_jax.theory import certificate

mine = Instance.of((4, 9), (3, 7), (3, 6), (2, 4), (2, 3), (1, 1))
answer = certificate(mine, bottom_up(mine, (5, 10)))
print(answer)
print("total:", answer.total_ratio)
assert all(reached >= promised for reached, promised in zip(answer.ratios, answer.guarantees, strict=True))
assert answer.total_ratio <= 1

# %% [markdown] tags=["exercise"]
# ## Exercises
#
# They grow harder. Each has its solution below it; the code of the solutions runs with the notebook.
#
# ### Exercise 1. By hand
#
# Items (weight, profit): (4, 7), (3, 5), (3, 5), (2, 3); capacities 4 and 8. Find the two optima, the bottom-up pair and the
# top-down pair on paper. Which order has the better total? Is there a better nested pair?

# %% [markdown] tags=["solution"]
# #### Solution 1
#
# <details><summary>In words</summary>
#
# OPT(4) = 7 with the first item. OPT(8) = 13 with the other three, which weigh exactly 8. Bottom-up: 7, and beside the item of
# weight 4 there is room for 4 more; the best is one (3, 5): 12. Top-down: of the three items in D2 at most one fits 4: 5,
# then 13. Totals 19 and 18. Enumeration shows that 19 is the best of all nested pairs.
# </details>

# %% tags=["solution"]
one = Instance.of((4, 7), (3, 5), (3, 5), (2, 3))
assert [optimum(one, c).value for c in (4, 8)] == [7, 13]
assert bottom_up(one, (4, 8)).values == (7, 12)
assert top_down(one, (4, 8)).values == (5, 13)
assert joint_optimum(one, (4, 8)).total == 19

# %% [markdown] tags=["exercise"]
# ### Exercise 2. The assumption is needed
#
# Drop the assumption that every item fits c1. Find an instance on which bottom-up keeps less than a thousandth of OPT(c2), and
# one on which top-down keeps *nothing* of OPT(c1). Where do the proofs break?

# %% [markdown] tags=["solution"]
# #### Solution 2
#
# <details><summary>In words</summary>
#
# Items (10, M) and (1, 1), capacities 5 and 10. Bottom-up takes the light item, and the heavy one no longer fits: 1 of M.
# Top-down takes the heavy one, and no part of it fits 5: 0 of 1. In the proof of T1, step 4 says "s alone fits c1"; in the
# proof of T2, "both b and {s} fit c1". The remark that the ratios then become arbitrarily bad is the paper's; Coq:
# [`all_fit_is_needed`](../../proofs/coq/Tight.v); test:
# [`test_light_items_are_needed`](../../tests/property/test_bounds_are_sharp.py).
# </details>

# %% tags=["solution"]
from reds_jax.errors import InvalidArgumentError

M = 2000
heavy = Instance.of((10, M), (1, 1))
assert bottom_up_share(heavy, (5, 10)) == Fraction(1, M) < Fraction(1, 1000)
assert top_down_share(heavy, (5, 10)) == 0
try:
    bounds.bottom_up_ratio((5, 10), instance=heavy)
except InvalidArgumentError as refusal:
    print(refusal)
else:
    raise AssertionError("the library must not promise anything here")

# %% [markdown] tags=["exercise"]
# ### Exercise 3. Ties
#
# Items (3, 1) and three times (2, 1), capacities 3 and 6. List all values that bottom-up can end with, depending on which of
# the equally good sets the first stage takes. Which of them does T1 speak of?

# %% [markdown] tags=["solution"]
# #### Solution 3
#
# <details><summary>In words</summary>
#
# At capacity 3 every single item is optimal. Starting with the heavy one, bottom-up ends with 2, otherwise with 3. T1 holds for
# *every* way to break ties: 2 of 3 is exactly the bound. This instance is the limit of the tight family, where the profit P + 1
# against P makes the bad choice strict.
# </details>

# %% tags=["solution"]
from reds_jax.theory import every_chain

ties = Instance.of((3, 1), (2, 1), (2, 1), (2, 1))
values = {chain.values for chain in every_chain(ties, (3, 6), "bottom_up")}
assert values == {(1, 2), (1, 3)}
assert min(last for _, last in values) == bounds.bottom_up_ratio((3, 6)) * optimum(ties, 6).value

# %% [markdown] tags=["exercise"]
# ### Exercise 4. The smallest counterexamples
#
# Is a bound of 7/10 for c2 = 2 c1 refuted by an instance with at most four items, weights at most 3 and profits at most 4?
# Search *all* of them. (The order of the items does not matter. That is what makes it feasible.)

# %% [markdown] tags=["solution"]
# #### Solution 4
#
# <details><summary>In words</summary>
#
# There are 12 kinds of items, and C(12 + n - 1, n) multisets of n of them: 12 + 78 + 364 + 1365 = 1819 instances; with c =
# (3, 6) every item fits. With ties broken against us the worst ratio is exactly 2/3, reached by the instance of exercise 3 and
# its multiples. With ties broken in our favour it is 3/4: profits up to 4 are too coarse to make the bad choice strict. The
# family of T1 has (2P + 1)/(3P), which is below 7/10 only for P > 10.
# </details>

# %% tags=["solution"]
from itertools import combinations_with_replacement, product

kinds = list(product((1, 2, 3), (1, 2, 3, 4)))
every_instance = [Instance.of(*chosen) for n in (1, 2, 3, 4) for chosen in combinations_with_replacement(kinds, n)]
assert len(every_instance) == 1819


def worst(ties):
    shares = ((Fraction(bottom_up(i, (3, 6), ties=ties).values[1], optimum(i, 6).value), i) for i in every_instance)
    return min(shares, key=lambda found: found[0])


print("ties against us:  ", worst("adversarial"))
print("ties in our favour:", worst("kind"))
assert worst("adversarial")[0] == Fraction(2, 3) < Fraction(7, 10)
assert worst("kind")[0] == Fraction(3, 4) > Fraction(7, 10)
refuting = [P for P in range(2, 20) if bottom_up_share(tight_instance("T1", profit=P).instance, (3, 6)) < Fraction(7, 10)]
assert refuting == list(range(11, 20))

# %% [markdown] tags=["exercise"]
# ### Exercise 5. A greedy solver under the theorems
#
# Many programs take the items by profit per weight as long as they fit. Put such a solver under T1 with
# `reds_jax.testing.assert_nested_guarantee`, which plays all tight families with noise against it. What do you expect?

# %% [markdown] tags=["solution"]
# #### Solution 5
#
# <details><summary>In words</summary>
#
# It must fail: the stages of T1 are *optimal*, and greedy is not. The assertion shows a small instance on which a stage of
# greedy misses its own optimum. Greedy may be arbitrarily bad even for one capacity: of (1, 2) and (M, M), with capacity M, it
# takes the dense little one, and the other no longer fits.
# </details>


# %% tags=["solution"]
from hypothesis import settings

from reds_jax.testing import assert_nested_guarantee


def greedy(items, capacities):
    order = sorted(range(len(items)), key=lambda i: Fraction(items.profits[i], items.weights[i] or 1), reverse=True)
    chosen, stages = [], []
    for c in capacities:
        for i in order:
            if i not in chosen and items.weight([*chosen, i]) <= c:
                chosen.append(i)
        stages.append(tuple(chosen))
    return stages


assert_nested_guarantee(bottom_up, settings=settings(max_examples=30, deadline=None))
try:
    assert_nested_guarantee(greedy, settings=settings(max_examples=100, deadline=None, derandomize=True, database=None))
except AssertionError as broken:
    print(broken)
else:
    raise AssertionError("greedy cannot keep this promise")

# %% [markdown] tags=["exercise"]
# ### Exercise 6. Start in the middle
#
# With three capacities there is a third order: take the optimum at c2, grow it to c3 and shrink it to c1. Write it. Find an
# instance on which it has a larger total than both bottom-up and top-down, and one on which it has a smaller total than the
# better of them. What can you prove for its three stages?

# %% [markdown] tags=["solution"]
# #### Solution 6
#
# <details><summary>In words</summary>
#
# At c2 it is optimal; from c2 to c3 it is a bottom-up pair, so T1 gives k/(k+1) with k the integer part of c3/c2; from c2 to c1
# it is a top-down pair, so T2 gives 1/2. A short random search finds both kinds of instances. What the best of all three orders
# guarantees for the *total* is [open](../../proofs/what_is_open.md).
# </details>


# %% tags=["solution"]
def from_the_middle(items, capacities):
    c1, c2, c3 = capacities
    middle = optimum(items, c2).items
    rest = [i for i in range(len(items)) if i not in middle]

    def best_of(candidates, room):
        part = Instance(tuple(items.weights[i] for i in candidates), tuple(items.profits[i] for i in candidates))
        return tuple(candidates[i] for i in optimum(part, room).items)

    inner = best_of(list(middle), c1)
    outer = middle + best_of(rest, c3 - items.weight(middle))
    return tuple(items.profit(s) for s in (inner, middle, outer))


better = worse = None
limits = (6, 9, 15)
for _ in range(2000):
    items = random_items(6, 6, 10)
    middle = from_the_middle(items, limits)
    rivals = [bottom_up(items, limits).total, top_down(items, limits).total]
    optima = [optimum(items, c).value for c in limits]
    assert middle[1] == optima[1]
    assert 2 * middle[0] >= optima[0]  # T2
    assert middle[2] >= bounds.bottom_up_ratio(limits[1:]) * optima[2]  # T1
    if better is None and sum(middle) > max(rivals):
        better = items
    if worse is None and sum(middle) < max(rivals):
        worse = items
print("better on", better)
print("worse on ", worse)
assert better is not None
assert worse is not None

# %% [markdown]
# Next: [what the theorem does not say](what_the_theorem_does_not_say.py). The cost of a network is *not* a sum over its units.
