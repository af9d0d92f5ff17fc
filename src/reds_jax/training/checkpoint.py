"""Checkpoints of a run with orbax: each committed by one rename, bound to a configuration, checked when read."""

from __future__ import annotations

import json
import signal
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from reds_jax.errors import CheckpointError
from reds_jax.optional import needs
from reds_jax.training.arrays import Arrays, digest, pack, read_json, unpack, write_text

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
def _interrupts_wait() -> Iterator[None]:
    """Ctrl-C takes effect at the end of the block: orbax's threads would go on writing behind an interrupted save."""
    before = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(before):
        yield
        return
    pending: list[Any] = []
    signal.signal(signal.SIGINT, lambda *arguments: pending.append(arguments))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if pending:
        before(*pending[0])


def _orbax() -> Any:
    """It is imported by the first run with a folder, since it takes half a second."""
    with needs("orbax", "a checkpoint"):
        import orbax.checkpoint
    return orbax.checkpoint


class Checkpoints:
    """The checkpoints of one run: the last two, each committed by one rename, and ``config.json`` beside them.

    Args:
        folder: made if it is missing.
        config: what the run depends on, as JSON; an existing folder must have the same.
        resume: continue what is there; otherwise a folder with a run is an error.

    Raises:
        CheckpointError: another configuration (the message names the fields that differ), or a run that shall not resume.
    """

    def __init__(self, folder: Path, config: Mapping[str, Any], *, resume: bool = True) -> None:
        self.folder = folder.absolute()
        config = json.loads(json.dumps({"format": FORMAT, **config}))
        path = self.folder / "config.json"
        if path.exists():
            if not resume:
                raise CheckpointError("the folder holds a run already", got=str(folder),
                                      hint="Resume it, or choose another folder.")
            fields = differing(read_json(path), config)
            if fields:
                raise CheckpointError("the run in this folder has another configuration", got=fields,
                                      allowed="equal fields", hint="Choose another folder for the new run.")
        else:
            self.folder.mkdir(parents=True, exist_ok=True)
            write_text(path, json.dumps(config, indent=1) + "\n")
        ocp = _orbax()
        options = ocp.CheckpointManagerOptions(max_to_keep=2, create=True, enable_async_checkpointing=False,
                                               cleanup_tmp_directories=True)
        self._manager = ocp.CheckpointManager(self.folder / "checkpoints", options=options)

    def __enter__(self) -> Checkpoints:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._manager.close()

    def save(self, position: int, arrays: Arrays, meta: Mapping[str, Any]) -> None:
        """Commit a checkpoint; one of the same position is left as it is."""
        self._manager.reload()  # an interrupted save may have got as far as the disk
        if position in self._manager.all_steps():
            return
        ocp = _orbax()
        data, index = pack(arrays)
        meta = {"meta": dict(meta), "index": index, "sha256": digest(arrays)}
        items = ocp.args.Composite(arrays=ocp.args.StandardSave({"data": data}), meta=ocp.args.JsonSave(meta))
        with _interrupts_wait():
            self._manager.save(position, args=items, force=True)

    def latest(self) -> tuple[Arrays, dict[str, Any]] | None:
        """The arrays and the JSON of the last checkpoint; None if there is none yet.

        Raises:
            CheckpointError: the checkpoint is incomplete or damaged.
        """
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
            expected = info["sha256"]
        except Exception as error:  # orbax, tensorstore and json have no common family
            raise CheckpointError(f"the checkpoint {where} cannot be read ({type(error).__name__})", hint=hint) from error
        if digest(arrays) != expected:
            raise CheckpointError(f"the arrays of the checkpoint {where} are damaged", hint=hint)
        return arrays, meta
