"""Several processes that train together, on one machine or on many: how they find each other, and what one says to all.

Every process runs the same program on the same data. What is decided from floats (widths, the best epoch) the first process
decides, it alone reads and writes the folder of a run, and an error of it there is an error of all.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from typing import Any, TypeVar

import jax
import numpy as np

from reds_jax.errors import InvalidArgumentError, ProcessError, RedsError

T = TypeVar("T")
AUTO = "auto"


def join(coordinator: str | None, process_id: int | None = None, processes: int | None = None) -> None:
    """Become one of several processes, before JAX is used; without a coordinator nothing is done.

    Args:
        coordinator: ``HOST:PORT`` of the first process, which every process is given; or ``"auto"``: as SLURM, Kubernetes, MPI
            or a TPU says, by ``jax.distributed.initialize()``.
        process_id: of this process, 0 to ``processes - 1``; not with ``"auto"``.
        processes: their number; not with ``"auto"``.

    Raises:
        InvalidArgumentError: an address or numbers that are not allowed, or ``"auto"`` where there is no such cluster.
        ProcessError: JAX is used already, or the processes do not find each other in five minutes.
    """
    given = process_id is not None, processes is not None
    if coordinator is None or coordinator == AUTO:
        if any(given):
            raise InvalidArgumentError("process_id and processes are not said alone", got=(process_id, processes),
                                       allowed="with a coordinator HOST:PORT")
        if coordinator is None:
            return
    elif not all(given):
        raise InvalidArgumentError("a coordinator needs process_id and processes", got=(process_id, processes))
    elif not re.fullmatch(r".+:\d+", coordinator):
        raise InvalidArgumentError("the coordinator has no such address", got=coordinator, allowed="HOST:PORT, or auto")
    jax.config.update("jax_enable_preemption_service", False)  # it takes SIGTERM, which ends a run (`reds_jax.interrupt`)
    try:
        if coordinator == AUTO:
            jax.distributed.initialize()
        else:
            jax.distributed.initialize(coordinator, processes, process_id)
    except ValueError as error:
        raise InvalidArgumentError(f"the processes cannot be started ({error})", got=(coordinator, process_id, processes),
                                   hint="Or give --coordinator HOST:PORT, --process-id and --processes.") from error
    except RuntimeError as error:
        raise ProcessError(f"the processes have not found each other ({error})", got=coordinator) from error


def is_first() -> bool:
    """Whether this process reads, writes and shows: it is the only one, or the first of several."""
    return jax.process_index() == 0


def from_first(make: Callable[[], T]) -> T:
    """What ``make()`` returns in the first process, in every one; several must call this together.

    With several processes the result is what JSON makes of it.

    Raises:
        ProcessError: in the others, the error of the library or of the operating system that the first process raises.
    """
    if jax.process_count() == 1:
        return make()
    said, failure = b"", None
    if is_first():
        try:
            said = json.dumps({"result": make()}).encode()
        except (RedsError, OSError) as error:
            failure, said = error, json.dumps({"error": str(error)}).encode()
    found = json.loads(_bytes_of_first(said))
    if failure is not None:
        raise failure
    if "error" in found:
        raise ProcessError(f"the first process has failed: {found['error'].rstrip('.')}")
    return found["result"]


def _bytes_of_first(said: bytes) -> bytes:
    size = int(arrays_of_first(np.int32(len(said))))
    room = max(256, 1 << (size - 1).bit_length())  # few sizes, each of which is compiled
    return arrays_of_first(np.frombuffer(said.ljust(room, b" ")[:room], np.uint8)).tobytes()[:size]


def arrays_of_first(tree: Any) -> Any:
    """Arrays of the first process, as NumPy arrays, in every one; of the others only the shapes and types count."""
    if jax.process_count() == 1:
        return tree
    from jax.experimental import multihost_utils

    return jax.tree.map(np.asarray, multihost_utils.broadcast_one_to_all(tree))


def agree(what: str, value: Any) -> None:
    """Refuse to go on where processes differ in a value that JSON holds.

    Raises:
        ProcessError: in every process; it names those that differ from the first.
    """
    if jax.process_count() == 1:
        return
    from jax.experimental import multihost_utils

    mine = np.frombuffer(hashlib.sha256(json.dumps(value, sort_keys=True).encode()).digest(), np.uint8)
    found = np.asarray(multihost_utils.process_allgather(mine))
    if others := [i for i, digest in enumerate(found) if not np.array_equal(digest, found[0])]:
        raise ProcessError(f"the processes have been started with different {what}", got=f"process 0 and {others}",
                           hint="Give all the same command, library and data; only --process-id differs.")
