"""The version of the installed package: that of the last tag ``v*``, and how far the commit is from it."""

import importlib.metadata

try:
    __version__ = importlib.metadata.version("reds_jax")
except importlib.metadata.PackageNotFoundError:  # imported from a checkout that was not installed
    __version__ = "0+unknown"
