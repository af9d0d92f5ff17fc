"""Checkpoints of a run with orbax: each committed by one rename, bound to a configuration, checked when read."""

from __future__ import annotations

import json
import logging
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

import jax
import numpy as np

from reds_jax.errors import CheckpointError
from reds_jax.interrupt import signals_wait
from reds_jax.optional import needs
from reds_jax.processes import arrays_of_first, from_first, is_first
from reds_jax.training.arrays import Arrays, digest, json_digest, pack, read_json, unpack, write_text
from reds_jax.training.owner import owned

FORMAT = 3


def differing(a: Any, b: Any, path: str = "") -> list[str]:
    """The dotted names of the fields in which two JSON values differ.

    >>> differing({"seed": 0, "optimizer": {"name": "adam"}}, {"seed": 0, "optimizer": {"name": "sgd"}})
    ['optimizer.name']
    """
    if isinstance(a, dict) and isinstance(b, dict):
        names = sorted(set(a) | set(b))
        return [f for n in names for f in differing(a.get(n), b.get(n), f"{path}.{n}" if path else n)]
    return [] if a == b else [path]


@contextmanager
def _quiet() -> Iterator[None]:
    """Orbax logs the traceback of every thread that fails, besides raising the error."""
    logger = logging.getLogger("absl")
    before = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        logger.setLevel(before)


def _orbax() -> Any:
    """It is imported by the first run with a folder, since it takes half a second."""
    with needs("orbax", "a checkpoint"):
        import orbax.checkpoint
    return orbax.checkpoint


class Checkpoints:
    """The checkpoints of one run: the last two, each committed by one rename, and ``config.json`` beside them.

    The folder is owned until the end of the block. A refusal changes nothing in it, and does not make it. Of several processes
    the first one alone reads and writes it.

    Args:
        folder: made if it is missing.
        config: what the run depends on, as JSON; an existing folder must have the same.
        resume: continue what is there; otherwise a folder with a run is an error.

    Raises:
        CheckpointError: another configuration (the message names the fields that differ), a run that shall not resume, or a
            folder that another process owns.
        OSError: the folder cannot be made or written.
    """

    def __init__(self, folder: Path, config: Mapping[str, Any], *, resume: bool = True) -> None:
        self.folder = folder.absolute()
        self._config, self._resume = json.loads(json.dumps({"format": FORMAT, **config})), resume
        self._held = ExitStack()
        from_first(self._open)

    def _open(self) -> None:
        self._accept()
        self.folder.mkdir(parents=True, exist_ok=True)
        with ExitStack() as stack:
            stack.enter_context(owned(self.folder))
            if not self._accept():  # once more: who owned the folder until now may have begun a run
                write_text(self.folder / "config.json", json.dumps(self._config, indent=1) + "\n")
            (self.folder / "checkpoints").mkdir(exist_ok=True)
            ocp = _orbax()
            alone = ocp.options.MultiprocessingOptions(active_processes={0} if jax.process_count() > 1 else None)
            options = ocp.CheckpointManagerOptions(max_to_keep=2, create=False, enable_async_checkpointing=False,
                                                   cleanup_tmp_directories=True, multiprocessing_options=alone)
            self._manager = ocp.CheckpointManager(self.folder / "checkpoints", options=options)
            stack.callback(self._manager.close)
            self._held = stack.pop_all()

    def _accept(self) -> bool:
        """Whether a run is in the folder, if it is this one and may go on."""
        path = self.folder / "config.json"
        if not path.exists():
            return False
        if not self._resume:
            raise CheckpointError("the folder holds a run already", got=str(self.folder),
                                  hint="Resume it, or choose another folder.")
        if fields := differing(read_json(path), self._config):
            raise CheckpointError(f"the run in {self.folder} has another configuration", got=fields, allowed="equal fields",
                                  hint="Choose another folder for the new run.")
        return True

    def __enter__(self) -> Checkpoints:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._held.close()

    def save(self, position: int, arrays: Arrays, meta: Mapping[str, Any]) -> None:
        """Commit a checkpoint; one of the same position is left as it is. Of several processes the first one does.

        Raises:
            OSError: it cannot be written; the checkpoints before it stay.
        """
        if not is_first():
            return
        self._manager.reload()  # an interrupted save may have got as far as the disk
        if position in self._manager.all_steps():
            return
        ocp = _orbax()
        data, index = pack(arrays)
        meta = {"meta": dict(meta), "index": index, "sha256": digest(arrays), "meta_sha256": json_digest(dict(meta))}
        items = ocp.args.Composite(arrays=ocp.args.StandardSave({"data": data}), meta=ocp.args.JsonSave(meta))
        try:
            with signals_wait(), _quiet():
                self._manager.save(position, args=items, force=True)
        except ValueError as error:  # tensorstore's, with the error of the operating system in words
            found = re.search(r"os_error_code='(\d+)'", str(error))
            if found is None:
                raise
            code, where = int(found[1]), self.folder / "checkpoints" / str(position)
            raise OSError(code, f"the checkpoint cannot be written: {os.strerror(code)}", str(where)) from error

    def latest(self) -> tuple[Arrays, dict[str, Any]] | None:
        """The arrays and the JSON of the last checkpoint; None if there is none yet. Several processes call this together.

        Raises:
            CheckpointError: the checkpoint is incomplete or damaged.
        """
        if jax.process_count() == 1:
            return self._latest()
        read: list[tuple[Arrays, dict[str, Any]]] = []

        def described() -> Any:
            if (found := self._latest()) is not None:
                read.append(found)
            return found and (found[1], pack(found[0])[1])

        if (described_by_first := from_first(described)) is None:
            return None
        meta, index = described_by_first
        arrays = read[0][0] if read else {name: np.zeros(shape, np.dtype(dtype)) for name, dtype, shape in index}
        return arrays_of_first(arrays), meta

    def _latest(self) -> tuple[Arrays, dict[str, Any]] | None:
        ocp = _orbax()
        position = self._manager.latest_step()
        if position is None:
            return None
        where = str(self.folder / "checkpoints" / str(position))
        hint = f"Remove {where} to resume from the checkpoint before it."
        try:
            # One read after the other: orbax leaves those that are under way behind when one of them fails.
            info = self._manager.restore(position, args=ocp.args.Composite(meta=ocp.args.JsonRestore()))["meta"]
            items = self._manager.restore(position, args=ocp.args.Composite(arrays=ocp.args.StandardRestore()))
            arrays, meta = unpack(np.asarray(items["arrays"]["data"]), info["index"]), info["meta"]
            expected = info["sha256"], info.get("meta_sha256", json_digest(meta))  # before, only the arrays had one
        except Exception as error:  # orbax, tensorstore and json have no common family
            raise CheckpointError(f"the checkpoint {where} cannot be read ({type(error).__name__})", hint=hint) from error
        if (digest(arrays), json_digest(meta)) != expected:
            raise CheckpointError(f"the arrays or the description of the checkpoint {where} are damaged", hint=hint)
        return arrays, meta
