"""Data as inputs and targets: splits in memory, streams of batches, and several places to read images from."""

from .catalogue import LOADERS, load
from .clip_augment import ClipAugment
from .clips import of_clips
from .images import image_data
from .mfcc import MFCC
from .normalise import Normalise, read
from .parting import at_most, split_off
from .resize import resize
from .source import DataSet, Loader
from .speech_commands import speech_commands_data
from .split import Split
from .stream import Stream, StreamedData
from .vww import vww_data

__all__ = ["LOADERS", "MFCC", "ClipAugment", "DataSet", "Loader", "Normalise", "Split", "Stream", "StreamedData",
           "at_most", "image_data", "load", "of_clips", "read", "resize", "speech_commands_data", "split_off", "vww_data"]
