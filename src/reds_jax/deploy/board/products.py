"""Boards that can be bought: processor, clock, flash and RAM, from the data sheets of their makers."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from reds_jax.deploy.board.boards import BOARDS, Board
from reds_jax.errors import InvalidArgumentError

M0_PLUS = replace(BOARDS["m3"], name="Cortex-M0+", flags=("-mthumb", "-mcpu=cortex-m0plus", "-mfloat-abi=soft"))
"""Code of a Cortex-M0+, whose instructions a Cortex-M3 has too, so that every network fits the memories of its machine."""
PROCESSORS = BOARDS | {"m0": replace(M0_PLUS, name="Cortex-M0", flags=("-mthumb", "-mcpu=cortex-m0", "-mfloat-abi=soft")),
                       "m0plus": M0_PLUS}


@dataclass(frozen=True)
class Product:
    """A board, or a chip.

    Args:
        title: what it is called.
        processor: a key of `PROCESSORS`.
        mhz: its highest clock.
        flash_kb, ram_kb: its memories, in units of 1,024 bytes.
    """

    title: str
    processor: str
    mhz: float
    flash_kb: int
    ram_kb: int

    @property
    def board(self) -> Board:
        return PROCESSORS[self.processor]


PRODUCTS = {
    "microbit": Product("BBC micro:bit v1 (nRF51822)", "m0", 16, 256, 16),
    "pico": Product("Raspberry Pi Pico (RP2040)", "m0plus", 133, 2048, 264),
    "bluepill": Product("STM32F103C8", "m3", 72, 64, 20),
    "nano33ble": Product("Arduino Nano 33 BLE (nRF52840)", "m4", 64, 1024, 256),
    "nucleo_f446re": Product("NUCLEO-F446RE", "m4", 180, 512, 128),
    "nucleo_l4r5zi": Product("NUCLEO-L4R5ZI", "m4", 120, 2048, 640),
    "disco_f746ng": Product("32F746GDISCOVERY", "m7", 216, 1024, 320),
    "nrf5340": Product("nRF5340, application core", "m33", 128, 1024, 512),
    "esp32c3": Product("ESP32-C3, 4 MB module", "rv32", 160, 4096, 400),
}


def product(text: str) -> Product:
    """A name of `PRODUCTS`, or ``processor,MHz,flash_kB,RAM_kB`` of a board of one's own.

    >>> product("nano33ble").mhz, product("m7,480,2048,1024").ram_kb
    (64, 1024)

    Raises:
        InvalidArgumentError: it is neither.
    """
    if text in PRODUCTS:
        return PRODUCTS[text]
    own = re.fullmatch(r"(\w+),(\d+(?:\.\d+)?),(\d+),(\d+)", text, re.ASCII)
    if own and own[1] in PROCESSORS and all(float(n) > 0 for n in own.groups()[1:]):
        return Product(text, own[1], float(own[2]), int(own[3]), int(own[4]))
    raise InvalidArgumentError("there is no such board", got=text, allowed=", ".join(PRODUCTS),
                               hint=f"Or a board of your own, processor,MHz,flash_kB,RAM_kB, of {', '.join(PROCESSORS)}: "
                                    "m4,80,1024,128")
