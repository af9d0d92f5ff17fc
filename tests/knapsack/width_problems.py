"""Width problems to test with: seeded random ones, capacities, and an oracle for chains; reds_jax.testing has strategies."""

import numpy as np
from hypothesis import strategies as st

from reds_jax.knapsack import Table, WidthProblem


def random_problem(rng: np.random.Generator, *, resources: int, peaks: bool, floats: bool = False, residual: bool = False):
    """A small problem of random tables over 1 to 3 groups, with ties, zeros and (rarely) negative costs."""
    count = int(rng.integers(1, 6))
    sizes = [int(rng.integers(1, 6)) for _ in range(count)]
    largest = int(rng.choice([2, 10, 1000, 10**9]))

    def table(low: int, high: int, span: int | None = None) -> Table:
        span = int(rng.integers(1, min(count, 3) + 1)) if span is None else min(span, count)
        groups = tuple(int(g) for g in rng.permutation(count)[:span])
        array = rng.integers(low, high, size=[sizes[g] for g in groups])
        return Table(groups, array * 0.37 if floats else array)

    values = [table(-largest // 3, largest) for _ in range(rng.integers(0, 2 * count))]
    if residual:
        values.append(table(0, largest, 3))
    sums = {}
    for r in range(resources):
        low = 0 if rng.random() < 0.8 else -3
        sums[f"r{r}"] = tuple(table(low, int(rng.choice([3, 20, 1000]))) for _ in range(rng.integers(1, 2 * count)))
    maxima = {"peak": tuple(table(0, 10) for _ in range(rng.integers(1, 4)))} if peaks else {}
    widths = [tuple(sorted((rng.choice(30, size=n, replace=False) + 1).tolist())) for n in sizes]
    return WidthProblem(tuple(f"g{i}" for i in range(count)), tuple(widths), tuple(values), sums, maxima)


def random_capacities(rng: np.random.Generator, problem: WidthProblem) -> dict[str, float]:
    """Capacities between the smallest possible cost and the largest, of which a good part cannot be met together."""
    capacities = {}
    for name in (*problem.resources, *problem.peaks):
        tables = problem.resources.get(name, problem.peaks.get(name))
        assert tables is not None
        join = sum if name in problem.resources else max
        low = join(t.array.min() for t in tables)
        high = join(t.array.max() for t in tables)
        limit = float(low + (high - low) * rng.uniform(0.0, 1.0) ** 0.5)
        capacities[name] = limit if rng.random() < 0.5 else float(np.floor(limit))
    return capacities


@st.composite
def limited(draw, problems, *, low: float = 0.0):
    """A problem with a capacity for each of its resources and peaks, as a fraction of the cost at full width."""
    problem = draw(problems)
    full = problem.costs(problem.full_widths)
    return problem, {name: int(cost * draw(st.floats(low, 1.05))) for name, cost in full.items()}


def random_chain(rng: np.random.Generator, units: list[int], *, top: int, shape: str = "gamma", **more) -> WidthProblem:
    """A chain of sorted random scores with bilinear costs of small integers."""
    draw = {
        "gamma": lambda n: rng.gamma(1.0, size=n),
        "flat": lambda n: rng.uniform(0.9, 1.1, size=n),
        "equal": lambda n: np.ones(n),
    }[shape]
    scores = [np.sort(np.rint(draw(n) * top).astype(np.int64))[::-1] for n in units]
    return WidthProblem.chain(
        scores=scores,
        pair_macs=[0, *rng.integers(1, 4, size=len(units) - 1).tolist()],
        unit_macs=rng.integers(0, 9, size=len(units)).tolist(),
        **more,
    )


def budget_table(problem: WidthProblem, capacity: int) -> int:
    """The optimum of a chain with one resource by a table over (width, cost spent): no bound, no dominance."""
    best = np.full((1, capacity + 1), -(2**60))
    best[0, 0] = 0
    for i, widths in enumerate(problem.widths):
        value = np.zeros((len(best), len(widths)), dtype=np.int64)
        cost = np.zeros_like(value)
        for tables, target in ((problem.values, value), (problem.resources["macs"], cost)):
            for t in tables:
                if max(t.groups) == i:
                    target += t.array
        after = np.full((len(widths), capacity + 1), -(2**60))
        for a in range(len(best)):
            for b in range(len(widths)):
                c = int(cost[a, b])
                if c <= capacity:
                    shifted = best[a, : capacity + 1 - c] + value[a, b]
                    np.maximum(after[b, c:], shifted, out=after[b, c:])
        best = after
    return int(best.max())
