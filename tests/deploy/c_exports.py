"""Exports that are made and compiled fast: answers come from NumPy, and the kernels are compiled once."""

from __future__ import annotations

import ctypes
import json
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import int8_oracle as oracle
import numpy as np
from device_cases import Case, ranges_of, tensors

from reds_jax.deploy.board.host import WARNINGS, HostNetwork
from reds_jax.deploy.c import arena, package, source
from reds_jax.deploy.c import export as c99
from reds_jax.deploy.c.any_widths import AnyWidths
from reds_jax.deploy.int8.quantize import QuantizedProgram, quantize
from reds_jax.deploy.int8.row import at_row_int8
from reds_jax.deploy.lowering.program import Program
from reds_jax.deploy.lowering.row import at_row
from reds_jax.widths import Widths


@dataclass(frozen=True, eq=False)
class Made:
    """A folder that was written as `reds_jax.deploy.export` writes it, without JAX."""

    folder: Path
    program: Program
    quantized: QuantizedProgram | None
    rows: AnyWidths | None = None

    def given(self, x: np.ndarray) -> np.ndarray:
        return self.quantized.input_scale.quantize(x) if self.quantized else np.asarray(x, np.float32)

    def expected(self, k: int, x: np.ndarray) -> np.ndarray:
        """What subnetwork k answers: int8 from the oracle, floats from NumPy in double precision."""
        if self.quantized:
            return oracle.outputs(self.quantized, k, self.given(x))
        return tensors(self.program, k, x)[self.program.output].reshape(len(x), -1)

    def at(self, row: tuple[int, ...]) -> Made:
        """The one subnetwork that a row of widths is."""
        assert self.rows is not None
        k = self.rows.subnetwork(row)
        quantized = at_row_int8(self.quantized, k, row, 0) if self.quantized else None
        return Made(self.folder, at_row(self.program, k, row, 0), quantized)

    def assert_answers(self, network: HostNetwork, k: int, x: np.ndarray) -> None:
        expected, found = self.expected(k, x), network.invoke(self.given(x))
        if self.quantized:
            np.testing.assert_array_equal(found, expected)
        else:
            np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4 * max(np.abs(expected).max(), 1e-3))


def make(program: Program, x: np.ndarray, dtype: str, folder: Path, *, widths=None, name: str = "reds",
         rows: AnyWidths | None = None) -> Made:
    quantized = quantize(program, ranges_of(program, x)) if dtype == "int8" else None
    runs = quantized.program if quantized else program
    plans = [arena.plan(runs, k, itemsize=1 if quantized else 4, scratch_bytes=c99.scratch_bytes(runs, k, dtype))
             for k in range(runs.subnetworks)]
    emitter = source.Emitter(quantized or program, plans, name, rows)
    made = Made(folder, program, quantized, rows)
    facts = c99._facts(emitter, program, widths or [Widths(())] * program.subnetworks, dtype)
    answers = [made.expected(k, x[:2]) for k in range(program.subnetworks)]
    package.write(folder, name, facts, c99._files(emitter, program, facts, made.given(x[:2]), answers, ""))
    return made


def make_case(case: Case, dtype: str, folder: Path, name: str = "reds", rows: AnyWidths | None = None) -> Made:
    return make(case.program, case.x, dtype, folder, widths=case.widths, name=name, rows=rows)


class Compiled(HostNetwork):
    """An export whose kernels have been compiled before."""

    def __init__(self, library: Path, folder: Path, name: str = "reds") -> None:
        self._library, self._name = ctypes.CDLL(str(library)), name
        self.facts = json.loads((folder / f"{name}_model.json").read_text())
        self._dtype = np.dtype(np.int8 if self.facts["dtype"] == "int8" else np.float32)
        self._invoke = self._function("invoke", ctypes.c_void_p, ctypes.c_void_p)
        self._invoke.restype = ctypes.c_uint32


class Compiler:
    """Compiles models against kernels that are compiled once for every compiler."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._count = folder, 0
        self._objects = cache(self._kernels)

    def _kernels(self, cc: str) -> list[str]:
        runtime = Path(c99.__file__).parent / "runtime"
        objects = []
        for path in (runtime / "reds_s8.c", runtime / "reds_f32.c"):
            objects.append(str(self._folder / f"{cc}_{path.stem}.o"))
            self.run(cc, *WARNINGS, "-O1", "-fPIC", "-c", str(path), "-o", objects[-1])
        return objects

    @staticmethod
    def run(*command: str, **options) -> subprocess.CompletedProcess:
        done = subprocess.run(command, capture_output=True, text=True, check=False, **options)
        assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}\n{done.stderr}"
        return done

    def load(self, folder: Path, *flags: str, cc: str = "gcc", name: str = "reds") -> Compiled:
        self._count += 1
        library = self._folder / f"{self._count}.so"
        model = str(folder / "src" / f"{name}_model.c")
        self.run(cc, *WARNINGS, "-O1", "-shared", "-fPIC", *flags, "-o", str(library), model, *self._objects(cc))
        return Compiled(library, folder, name)
