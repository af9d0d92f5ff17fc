"""Training on several devices: the tests in `four_devices.py`, in a process that sees a CPU as four of them, in float64."""

import os
import subprocess
import sys
from pathlib import Path

import pytest


def on_four_devices(which):
    unchecked = {"REDS_CHECK_TYPES": "0"}  # parameters of 64 bits meet examples of 32
    environment = {**os.environ, **unchecked, "JAX_NUM_CPU_DEVICES": "4", "JAX_ENABLE_X64": "1", "JAX_PLATFORMS": "cpu"}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", "-m", which,
               str(Path(__file__).with_name("four_devices.py"))]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stdout + ended.stderr


def test_on_four_devices():
    on_four_devices("not slow")


@pytest.mark.slow
def test_more_on_four_devices():
    on_four_devices("slow")
