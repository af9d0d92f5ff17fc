"""Search for items on which even the best order keeps little: ``python proofs/evidence/any_budget.py --help``.

Simulated annealing over integer weights and profits, many chains at once. What an instance is rated by is exact up to the
division of two integers: the largest, over all orders, of the least p(F(c)) / OPT(c) over the capacities from the heaviest
item on, by dynamic programming over sets. What is found is rated again by ``reds_jax.theory.best_order`` in fractions.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

import numpy as np

from reds_jax.report import environment
from reds_jax.theory import Instance, any_budget_order, best_order, order_ratio


class Rating:
    """The best order's ratio for a batch of instances of n items."""

    def __init__(self, count: int) -> None:
        self.count = count
        sets = np.arange(1 << count)
        size = sum((sets >> i) & 1 for i in range(count))
        self.has = np.stack([(sets >> i) & 1 for i in range(count)]).astype(np.int64)  # (items, sets)
        self.levels = []
        for k in range(count - 1, -1, -1):
            here = sets[size == k]
            after = np.stack([[s | 1 << i for i in range(count) if not s >> i & 1] for s in here.tolist()])
            self.levels.append((here, after))

    def __call__(self, weights: np.ndarray, profits: np.ndarray) -> np.ndarray:
        """Ratios of shape (batch,) from weights and profits of shape (batch, items), weights at least 1."""
        batch = len(weights)
        total = int(weights.sum(axis=1).max())
        best = np.zeros((batch, total + 1), dtype=np.int64)
        room = np.arange(total + 1)
        for i in range(self.count):
            without = room[None] - weights[:, i, None]
            other = np.take_along_axis(best, np.maximum(without, 0), axis=1) + profits[:, i, None]
            best = np.where(without >= 0, np.maximum(best, other), best)
        weight, value = weights @ self.has, profits @ self.has
        below = np.take_along_axis(best, np.maximum(weight - 1, 0), axis=1)  # OPT just before a set fits
        late = weight > weights.max(axis=1, keepdims=True)
        reach = np.ones((batch, 1 << self.count))
        for here, after in self.levels:
            opt = np.maximum(below[:, after], 1)
            kept = np.where(late[:, after], value[:, here, None] / opt, 1.0)
            reach[:, here] = np.minimum(kept, reach[:, after]).max(axis=2)
        return reach[:, 0]


def anneal(
    rng: np.random.Generator, count: int, *, steps: int, batch: int, weight: int, profit: int
) -> tuple[np.ndarray, np.ndarray]:
    """The worst instance that ``batch`` chains of ``steps`` changes each come to."""
    rate = Rating(count)
    w, p = rng.integers(1, weight + 1, (batch, count)), rng.integers(1, profit + 1, (batch, count))
    now = rate(w, p)
    worst = (now.min(), w[now.argmin()], p[now.argmin()])
    rows = np.arange(batch)
    for step in range(steps):
        heat = 0.02 * 0.01 ** (step / steps)
        w2, p2 = w.copy(), p.copy()
        for _ in range(1 + step % 3):
            at, other, kind = rng.integers(count, size=batch), rng.integers(count, size=batch), rng.integers(5, size=batch)
            here_w, here_p = w2[rows, at], p2[rows, at]
            new_w = np.choose(kind, [here_w + rng.integers(-1, 2, batch), here_w, rng.integers(1, weight + 1, batch),
                                     here_w, w2[rows, other]])
            new_p = np.choose(kind, [here_p, here_p + rng.integers(-3, 4, batch), here_p,
                                     rng.integers(1, profit + 1, batch), p2[rows, other]])
            w2[rows, at], p2[rows, at] = new_w.clip(1, weight), new_p.clip(0, profit)
        then = rate(w2, p2)
        take = rng.random(batch) < np.exp(np.minimum((now - then) / heat, 0))
        w, p, now = np.where(take[:, None], w2, w), np.where(take[:, None], p2, p), np.where(take, then, now)
        if now.min() < worst[0]:
            worst = (now.min(), w[now.argmin()].copy(), p[now.argmin()].copy())
    return worst[1], worst[2]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, nargs="+", default=[4, 5, 6, 7, 8, 9], help="numbers of items")
    parser.add_argument("--steps", type=int, default=2000, help="changes of each chain")
    parser.add_argument("--batch", type=int, default=64, help="chains")
    parser.add_argument("--weight", type=int, default=30, help="largest weight")
    parser.add_argument("--profit", type=int, default=100, help="largest profit")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, help="folder of any_budget.json")
    options = parser.parse_args()
    command, machine, found = " ".join(["python", *sys.argv]), environment(), []
    for count in options.items:
        start = time.process_time()
        rng = np.random.default_rng([options.seed, count])
        given = {"steps": options.steps, "batch": options.batch, "weight": options.weight, "profit": options.profit}
        w, p = anneal(rng, count, **given)
        instance = Instance(tuple(w.tolist()), tuple(p.tolist()))
        smallest = max(instance.weights)
        order, ratio = best_order(instance, smallest)
        half = order_ratio(instance, any_budget_order(instance), smallest)
        found.append({
            "items": count, "weights": w.tolist(), "profits": p.tolist(), "smallest": smallest, "best_order": list(order),
            "best_ratio": str(ratio.ratio), "any_budget_order": str(half.ratio),
            "cpu_seconds": round(time.process_time() - start),
        })  # fmt: skip
        print(f"{count} items: {float(ratio.ratio):.4f} = {ratio.ratio}  {w.tolist()} {p.tolist()}", flush=True)
        if options.output:
            text = json.dumps({"command": command, "machine": machine, "found": found}, indent=1)
            (options.output / "any_budget.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
