"""A front end as C: the header and the tables for the runtime ``reds_mfcc``."""

from __future__ import annotations

from importlib import resources
from string import Template

from reds_jax.data.mfcc import MFCC
from reds_jax.deploy.c.constants import array, real
from reds_jax.deploy.escape import c_identifier
from reds_jax.deploy.front_end.tables import Tables


def c_files(mfcc: MFCC, name: str = "reds") -> dict[str, str]:
    """The C files of a front end by name: ``NAME_front_end.h``, ``NAME_front_end.c`` and the runtime that they include.

    Args:
        mfcc: the front end of training.
        name: prefix of the identifiers and files.

    Raises:
        InvalidArgumentError: what is no `MFCC`, a window that is too long, a name that C does not take.
    """
    tables, name = Tables.of(mfcc), c_identifier(name)
    values = {
        "name": name, "NAME": name.upper(), "rate": str(mfcc.sample_rate), "window": str(mfcc.window),
        "stride": str(mfcc.stride), "coefficients": str(mfcc.coefficients), "scratch": str(4 * tables.quarter),
        "quarter": str(tables.quarter), "bins": str(tables.bins), "bands": str(mfcc.bands), "tables": _float32(tables),
    }
    return {f"{name}_front_end{ending}": _template(f"mfcc{ending}", values) for ending in (".h", ".c")} | runtime()


def runtime() -> dict[str, str]:
    """The text of the runtime's files by name."""
    folder = resources.files("reds_jax.deploy.c") / "runtime"
    return {name: (folder / name).read_text(encoding="utf-8") for name in ("reds_mfcc.h", "reds_mfcc.c", "reds_mfcc_f32.c")}


def _float32(tables: Tables) -> str:
    bands = [f"{{{f}u, {c}u}}" for f, c in zip(tables.first, tables.count, strict=True)]
    arrays = {"half": tables.half / 65536, "sine": tables.sine, "weights": tables.weights, "basis": tables.basis.ravel()}
    return array("reds_mfcc_band", "bands", bands, per_line=8) + "".join(
        array("float", key, [real(v) for v in values] or ["0.0f"], per_line=8)
        for key, values in arrays.items())


def _template(name: str, values: dict[str, str]) -> str:
    text = (resources.files("reds_jax.deploy.c") / "templates" / name).read_text(encoding="utf-8")
    return Template(text).substitute(values)
