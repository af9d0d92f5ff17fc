"""``reds data``: look at a data set before anything is trained on it, and prepare one."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from reds_jax.checks import integer
from reds_jax.console import console, escape, guard
from reds_jax.data.catalogue import load
from reds_jax.data.describe import balance, facts, repeats
from reds_jax.data.sheet import contact_sheet
from reds_jax.data.source import DataSet
from reds_jax.data.tfds_builder import prepare_vww
from reds_jax.options import read_options
from reds_jax.whole_file import write_bytes

MOST_ROWS = 40
"""Of how many classes the numbers are shown one by one."""


@dataclass(frozen=True)
class Describe:
    """Numbers, forms, ranges of values, balance of the classes, examples that are there twice, and a sheet of images.

    Args:
        name: of the data set, as reds_jax.data.load takes it.
        spec: its place, folder:DIR, npz:FILE, tfds[:DIR] or synthetic; default for the default of the data set.
        sheet: a PNG that shows a few training images of every class.
        each: so many images of a class are on the sheet.
        resolution: pixels a side; the data set's own by default.
        limit: at most so many examples of each split.
        seed: of what is parted off, drawn or rendered.
    """

    name: str
    spec: str
    sheet: Path | None = None
    each: int = 10
    resolution: int | None = None
    limit: int | None = None
    seed: int = 0

    def __call__(self, console: Console) -> None:
        integer("each", self.each, 1)
        data = load(self.name, None if self.spec == "default" else self.spec, resolution=self.resolution, limit=self.limit,
                    seed=self.seed)
        picture = None if self.sheet is None else contact_sheet(data, each=self.each)
        console.print(escape(data.describe()), soft_wrap=True, highlight=False)
        console.print(_arrays(data))
        if table := _classes(data):
            console.print(table)
        for line in _repeated(data):
            console.print(escape(line), soft_wrap=True, highlight=False)
        console.print(f"fingerprint {data.fingerprint}", soft_wrap=True, highlight=False)
        if self.sheet is not None and picture is not None:
            write_bytes(self.sheet, picture)
            console.print(escape(f"a sheet of images in {self.sheet}"), soft_wrap=True, highlight=False)


@dataclass(frozen=True)
class PrepareVww:
    """Write the photographs of a folder as a set visual_wake_words of TensorFlow Datasets, which --data tfds:DIR then reads.

    Args:
        folder: of COCO 2017, or with person/ and no_person/.
        data_dir: the root of TFDS sets, where the set gets a folder of its own.
        resolution: pixels a side.
        validation: the share of train that becomes validation where the folder has none.
        seed: of what is parted off.
    """

    folder: Path
    data_dir: Path
    resolution: int = 96
    validation: float = 0.1
    seed: int = 0

    def __call__(self, console: Console) -> None:
        place, counts, skipped = prepare_vww(self.folder, self.data_dir, resolution=self.resolution, validation=self.validation,
                                             seed=self.seed)
        numbers = " / ".join(f"{n:,}" for n in counts.values())
        console.print(escape("; ".join(filter(None, [f"{numbers} {' / '.join(counts)} examples in {place}", skipped]))),
                      soft_wrap=True, highlight=False)
        console.print(escape(f"Read it with: reds vww --data tfds:{self.data_dir}"), soft_wrap=True, highlight=False)


Command = Describe | PrepareVww


def _arrays(data: DataSet) -> Table:
    table = Table(title="arrays")
    for column in ("split", "array", "examples", "type", "shape", "lowest", "highest", "mean"):
        table.add_column(column, justify="left" if column in ("split", "array", "type", "shape") else "right")
    for array in facts(data):
        table.add_row(array.split, escape(array.name), f"{array.examples:,}", array.dtype, escape(list(array.shape)),
                      *(f"{value:.6g}" for value in (array.low, array.high, array.mean)))
    return table


def _classes(data: DataSet) -> Table | None:
    """Examples of every class by split; of many classes the rarest and the most frequent ones of train."""
    counts = balance(data)
    if not counts:
        return None
    table = Table(title=f"{len(counts)} classes" + (f", the {MOST_ROWS} most uneven" if len(counts) > MOST_ROWS else ""))
    table.add_column("class")
    for part in data.splits:
        table.add_column(part, justify="right")
        table.add_column("%", justify="right")
    order = list(counts)
    if len(order) > MOST_ROWS:
        order.sort(key=lambda name: counts[name][0])
        order = [*order[: MOST_ROWS // 2], *order[-MOST_ROWS // 2 :]]
    totals = [len(split) for split in data.splits.values()]
    for name in order:
        cells = [(f"{n:,}", f"{100 * n / total:.2f}") for n, total in zip(counts[name], totals, strict=True)]
        table.add_row(escape(name), *(cell for pair in cells for cell in pair))
    return table


def _repeated(data: DataSet) -> list[str]:
    found = repeats(data)
    lines = [f"{n:,} examples of {b} are in {a} too" for (a, b), n in found.across.items() if n]
    lines += [f"{n:,} examples of {part} repeat another one of it" for part, n in found.within.items() if n]
    if found.contradictions:
        lines.append(f"{found.contradictions:,} inputs are there with more than one target")
    return lines or ["no input is there twice"]


@guard
def main(argv: Sequence[str] | None = None) -> None:
    """Read the command line and run; the exit codes are those of `reds_jax.console`."""
    argv = list(sys.argv[1:] if argv is None else argv)
    read_options(Command, argv, command="reds data", description=__doc__)(console())


if __name__ == "__main__":
    main()
