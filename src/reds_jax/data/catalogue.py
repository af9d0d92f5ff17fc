"""Data sets by name and place, as a command line gives them: ``load("vww", "folder:/data/coco")``."""

from functools import partial

from ..checks import integer, number
from ..errors import InvalidArgumentError
from .image_folder import image_folder_data
from .images import IMAGE_SETS, image_data
from .source import DataSet, Loader
from .speech_commands import speech_commands_data
from .vww import vww_data

LOADERS: dict[str, Loader] = {"vww": vww_data, "speech_commands": speech_commands_data,
                              **{name: partial(image_data, name) for name in IMAGE_SETS}, "image_folder": image_folder_data}
"""Every data set by name; each loader takes the options of ``load``."""


def load(name: str, spec: str | None = None, *, resolution: int | None = None, seed: int = 0,
         limit: int | None = None, validation: float = 0.1, normalise: str | None = None) -> DataSet:
    """The data set ``name`` from the place ``spec``.

    Args:
        name: "vww", "fashion_mnist", "cifar10", "speech_commands", or "image_folder" for any images in folders by class.
        spec: ``synthetic``, ``tfds[:DIR]``, ``folder:DIR`` or ``npz:FILE``; None for the default of the data set.
        resolution: pixels a side; None for the data set's own (96 for vww).
        seed: chooses validation images, images under a limit, and what is rendered.
        limit: at most so many images a split.
        validation: the share of train that becomes validation where the source has none.
        normalise: "standard" or "unit" of images, "mfcc_40_20" or "mfcc_40_40" of sound; None for the default of the data set.

    Raises:
        InvalidArgumentError: a name or a spec is unknown; the message has the ones that exist.
        DataError: the data are missing or damaged.
        MissingDependencyError: a package that reads them is not installed.
    """
    if name not in LOADERS:
        raise InvalidArgumentError("unknown data set", got=name, allowed=", ".join(LOADERS))
    integer("seed", seed, 0)
    number("validation", validation, 0, 1, above=True)
    for option, value in (("resolution", resolution), ("limit", limit)):
        if value is not None:
            integer(option, value, 1)
    options = {"resolution": resolution, "seed": seed, "limit": limit, "validation": validation}
    if normalise is not None:
        options["normalise"] = normalise
    return LOADERS[name](spec, **options)
