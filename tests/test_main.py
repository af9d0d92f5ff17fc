"""The console script: one word names a command; help and mistakes need none of the packages that commands need."""

import importlib
import subprocess
import sys

import pytest

import reds_jax
from reds_jax.__main__ import COMMANDS, main, usage


def test_help_names_every_command(capsys):
    main([])
    assert capsys.readouterr().out.strip() == usage()
    assert all(f"  {name} " in usage() for name in COMMANDS)


def test_help_imports_no_jax():
    code = "import sys; from reds_jax.__main__ import main; main(['--help']); sys.exit('jax' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_version_is_that_of_the_installed_package(capsys):
    main(["--version"])
    assert capsys.readouterr().out == f"reds_jax {importlib.metadata.version('reds_jax')}\n"
    assert reds_jax.__version__ == importlib.metadata.version("reds_jax")


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_shows_its_options(name, capsys):
    with pytest.raises(SystemExit) as ended:
        main([name, "--help"])
    assert ended.value.code == 0
    assert "--help" in capsys.readouterr().out


def test_a_mistyped_command_is_one_line_with_the_nearest(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["fasion_mnist"])
    assert ended.value.code == 2
    assert capsys.readouterr().err == "error: there is no command 'fasion_mnist'. Did you mean 'fashion_mnist'?\n"
