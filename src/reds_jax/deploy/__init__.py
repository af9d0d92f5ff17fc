"""On the device: one copy of the weights, any width. ``reds deploy --help``.

Data flows one way through the folders, and so do imports; ``policy`` and ``latency`` do not know each other::

    lowering   a nested network becomes a device program, which can be simulated in JAX
    int8       the program in 8-bit arithmetic, bit for bit as on the device       reads lowering
    phone      the program as one ONNX or LiteRT file                              reads lowering
    c          the program as a folder of C99, with its runtime                    reads lowering, int8
    board      builds and runs such a folder: on this computer, in QEMU            reads nothing but the folder
    front_end  from audio to the input of the network, in float32 and in integers      reads int8, c, board
    latency    what each operation costs at each width, measured                   reads lowering, c, board
    policy     a budget that varies, and who picks the subnetwork                  reads lowering, c, board

Beside them: `folder` and `one_file` write what is exported and replace nothing else, `escape` is for text from outside,
`saved_run` reads what an experiment left, `accuracy` compares Flax, simulation and compiled C, and ``__main__`` is the command
line.
"""

from typing import TYPE_CHECKING

from reds_jax.lazy import exports

if TYPE_CHECKING:
    from reds_jax.deploy.board.host import HostNetwork
    from reds_jax.deploy.c.export import Exported, export
    from reds_jax.deploy.int8.quantize import QuantizedProgram
    from reds_jax.deploy.lowering.lower import lower
    from reds_jax.deploy.lowering.program import Program

__all__ = ["Exported", "HostNetwork", "Program", "QuantizedProgram", "export", "lower"]

__getattr__ = exports(__name__, {
    **dict.fromkeys(["Exported", "export"], "reds_jax.deploy.c.export"), "HostNetwork": "reds_jax.deploy.board.host",
    "lower": "reds_jax.deploy.lowering.lower", "Program": "reds_jax.deploy.lowering.program",
    "QuantizedProgram": "reds_jax.deploy.int8.quantize",
})
