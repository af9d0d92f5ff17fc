"""Data sets as arrays in memory: one protocol, several places to read them from."""

from .catalogue import LOADERS, load
from .images import image_data
from .normalise import Normalise, read
from .parting import at_most, split_off
from .resize import resize
from .source import DataSet, Loader, Split
from .stream import Stream
from .vww import vww_data

__all__ = ["LOADERS", "DataSet", "Loader", "Normalise", "Split", "Stream", "at_most", "image_data", "load", "read", "resize",
           "split_off", "vww_data"]
