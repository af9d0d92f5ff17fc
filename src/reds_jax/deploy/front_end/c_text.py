"""A front end as C: the header and the tables for the runtime ``reds_mfcc``."""

from __future__ import annotations

from importlib import resources
from string import Template
from typing import Literal, get_args

from reds_jax.data.mfcc import MFCC
from reds_jax.deploy.c.constants import array, real
from reds_jax.deploy.escape import c_identifier
from reds_jax.deploy.front_end.fixed import FixedGrid, FixedTables
from reds_jax.deploy.front_end.tables import Tables
from reds_jax.deploy.int8.calibrate import Scale
from reds_jax.errors import InvalidArgumentError

Arithmetic = Literal["float32", "fixed"]
_KINDS = {"half": "uint16_t", "sine": "int16_t", "weights": "uint16_t", "basis": "int16_t"}


def c_files(mfcc: MFCC, name: str = "reds", arithmetic: Arithmetic = "float32", grid: Scale | None = None) -> dict[str, str]:
    """The C files of a front end by name: ``NAME_front_end.h``, ``NAME_front_end.c`` and the runtime that they include.

    Args:
        mfcc: the front end of training.
        name: prefix of the identifiers and files.
        arithmetic: ``"float32"``, or ``"fixed"``: integers, for a core without an FPU.
        grid: of the input of an int8 network; the header then says how coefficients are stored on it.

    Raises:
        InvalidArgumentError: what is no `MFCC`, a window or a number of bands that is too large, a grid that is too fine for
            integers, a name that C does not take.
    """
    if arithmetic not in get_args(Arithmetic):
        raise InvalidArgumentError("there is no such arithmetic of a front end", got=arithmetic, allowed="'float32' or 'fixed'")
    tables, name = Tables.of(mfcc), c_identifier(name)
    short = "f32" if arithmetic == "float32" else "s32"
    values = {
        "name": name, "NAME": name.upper(), "rate": str(mfcc.sample_rate), "window": str(mfcc.window),
        "stride": str(mfcc.stride), "coefficients": str(mfcc.coefficients), "scratch": str(4 * tables.quarter),
        "quarter": str(tables.quarter), "bins": str(tables.bins), "bands": str(mfcc.bands), "short": short,
        "number": "float" if short == "f32" else "int32_t",
        **(_float32(tables) if short == "f32" else _fixed(FixedTables.of(mfcc))), **_grid(name, short, grid),
    }
    return {f"{name}_front_end{ending}": _template(f"mfcc{ending}", values) for ending in (".h", ".c")} | runtime(arithmetic)


def runtime(arithmetic: Arithmetic) -> dict[str, str]:
    """The text of the runtime's files by name."""
    folder = resources.files("reds_jax.deploy.c") / "runtime"
    body = "reds_mfcc_f32.c" if arithmetic == "float32" else "reds_mfcc_s32.c"
    return {name: (folder / name).read_text(encoding="utf-8")
            for name in ("reds_mfcc.h", "reds_mfcc.c", "reds_mfcc_fft.h", body)}


def _float32(tables: Tables) -> dict[str, str]:
    arrays = {"half": tables.half / 65536, "sine": tables.sine, "weights": tables.weights, "basis": tables.basis.ravel()}
    return {"arrays": _bands(tables) + "".join(
        array("float", key, [real(v) for v in values] or ["0.0f"], per_line=8) for key, values in arrays.items()), "points": ""}


def _fixed(fixed: FixedTables) -> dict[str, str]:
    arrays = {"half": fixed.half, "sine": fixed.sine, "weights": fixed.weights, "basis": fixed.basis.ravel()}
    return {"arrays": _bands(fixed.tables) + "".join(
        array(_KINDS[key], key, [str(v) for v in values] or ["0"], per_line=16) for key, values in arrays.items()),
        "points": f" {fixed.fraction}, {fixed.basis_fraction},"}


def _bands(tables: Tables) -> str:
    bands = [f"{{{f}u, {c}u}}" for f, c in zip(tables.first, tables.count, strict=True)]
    return array("reds_mfcc_band", "bands", bands, per_line=8)


def _grid(name: str, short: str, grid: Scale | None) -> dict[str, str]:
    if grid is None:
        return {"grid_header": "", "grid_source": ""}
    upper = f"{name.upper()}_MFCC"
    meaning = f"/* of a stored coefficient: real = {real(grid.scale)} * (stored - ({grid.zero})) */\n"
    if short == "f32":
        return {"grid_header": f"#define {upper}_SCALE {real(grid.scale)} {meaning}#define {upper}_ZERO ({grid.zero})\n",
                "grid_source": ""}
    fixed = FixedGrid.of(grid)
    kind = f"const reds_mfcc_grid {name}_front_end_grid"
    return {"grid_header": f"extern {kind}; {meaning}",
            "grid_source": f"{kind} = {{{fixed.multiplier}, {fixed.round}, {fixed.shift}}};\n"}


def _template(name: str, values: dict[str, str]) -> str:
    text = (resources.files("reds_jax.deploy.c") / "templates" / name).read_text(encoding="utf-8")
    return Template(text).substitute(values)
