"""Where a wheel is built with ``REDS_BUILD_KERNELS=1``: the C++ kernels, compiled for machines without a compiler.

    REDS_BUILD_KERNELS=1 python -m build --wheel

The wheel is then for one platform, any Python, and the version of XLA's FFI that the jaxlib of the build has (another jaxlib:
``PIP_CONSTRAINT``). Without the variable nothing is compiled, and the wheel is for every platform.
"""

import os
import sys
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface
from packaging.requirements import Requirement
from packaging.tags import sys_tags

SWITCH = "REDS_BUILD_KERNELS"


class Kernels(BuildHookInterface):
    """Compiles into a temporary folder; the tree of the sources stays as it is."""

    scratch: TemporaryDirectory[str] | None = None

    def dependencies(self) -> list[str]:
        """XLA's headers come with jaxlib."""
        if os.environ.get(SWITCH) != "1":
            return []
        jax, = (found for found in map(Requirement, self.metadata.core.dependencies) if found.name == "jax")
        return [f"jaxlib{jax.specifier}"]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if os.environ.get(SWITCH) != "1" or version == "editable":
            return
        sys.path.insert(0, str(Path(self.root) / "src"))
        from reds_jax.native.compile import COMPILERS, find_compiler
        from reds_jax.native.prebuilt import FOLDER, make_prebuilt

        compiler, jaxlib = find_compiler(), find_spec("jaxlib")
        if compiler is None or jaxlib is None or not jaxlib.submodule_search_locations:
            raise RuntimeError(f"{SWITCH}=1 needs a C++ compiler (CXX, {', '.join(COMPILERS)}) and jaxlib")
        self.scratch = TemporaryDirectory(prefix="reds_jax_")
        include = Path(jaxlib.submodule_search_locations[0]) / "include"
        for path in make_prebuilt(Path(self.scratch.name), compiler, include):
            build_data["force_include"][str(path)] = f"reds_jax/native/{FOLDER.name}/{path.name}"
        build_data["pure_python"] = False
        local = next(tag.platform for tag in sys_tags() if "manylinux" not in tag.platform and "musllinux" not in tag.platform)
        build_data["tag"] = f"py3-none-{local}"

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        if self.scratch is not None:
            self.scratch.cleanup()
