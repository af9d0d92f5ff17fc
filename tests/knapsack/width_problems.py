"""Width problems to test with: hypothesis strategies, seeded random problems, and an oracle for chains."""

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
def chains(draw, *, max_groups: int = 4, max_units: int = 5, floats: bool = False, kernels: bool = True):
    """Chains of sorted integer scores with bilinear costs, up to three resources, peaks, steps and floors."""
    count = draw(st.integers(1, max_groups))
    units = draw(st.lists(st.integers(1, max_units), min_size=count, max_size=count))
    top = draw(st.sampled_from([1, 3, 50, 10**6]))
    number = st.floats(0, top, width=32) if floats else st.integers(0, top)
    scores = [sorted(draw(st.lists(number, min_size=u, max_size=u)), reverse=True) for u in units]
    coefficients = st.lists(st.integers(0, 6), min_size=count, max_size=count)
    resources = {f"r{i}": (draw(coefficients), draw(coefficients)) for i in range(draw(st.integers(0, 2)))}
    peaks = {"peak": (draw(coefficients), draw(coefficients))} if draw(st.booleans()) else {}
    matrices = None
    if kernels and not floats and draw(st.booleans()):
        shapes = list(zip(units, [1, *units[:-1]], strict=True))
        entry = st.integers(0, top)
        matrices = [
            None if draw(st.booleans()) else np.array(draw(st.lists(entry, min_size=a * b, max_size=a * b))).reshape(a, b)
            for a, b in shapes
        ]
    value = "sum" if matrices is not None else draw(st.sampled_from(["sum", "log_retention"]))
    return WidthProblem.chain(
        scores=scores,
        pair_macs=draw(coefficients),
        unit_macs=draw(coefficients),
        value=value,
        cost=draw(st.sampled_from(["true", "full_fan_in"])),
        min_width=[draw(st.integers(1, u)) for u in units],
        step=draw(st.integers(1, 3)),
        kernel_scores=matrices,
        kernel_score=draw(st.sampled_from(["first", "best"])),
        resources=resources,
        peaks=peaks,
    )


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
