"""Any images in folders by class, as ImageNet has them: the names of the folders are the classes."""

from pathlib import Path

from ..errors import DataError, InvalidArgumentError
from .class_folders import class_folders, class_names, folder_name
from .images import normalisation, parse_spec
from .photographs import read_parts
from .source import DataSet

RESOLUTION = 224


def image_folder_data(spec: str | None = None, *, resolution: int | None = None, seed: int = 0, limit: int | None = None,
                      validation: float = 0.1, normalise: str = "standard") -> DataSet:
    """Images uint8 [N, R, R, 3] with as many classes as there are folders, named and numbered in the order of their names.

    Args:
        spec: ``folder:DIR`` with ``CLASS/*.jpg`` (or .png, .webp, ...), at once or in ``train``, ``val``, ``test``; what is not
            there is parted off by the hash of the names. A file that cannot be read is skipped and named in the source.
        resolution: pixels a side, 224 by default; images are squashed to it.
        seed: what is parted off and drawn under a limit.
        limit: at most so many images a split.
        validation: the share of train that becomes validation where there is none.
        normalise: "standard" (mean 0, std 1 per channel over train) or "unit" (x / 255).

    Raises:
        InvalidArgumentError: an argument is out of range. DataError: the data are missing or damaged.
    """
    kind, path = parse_spec(spec or "folder", ("folder",))
    if path is None:
        raise InvalidArgumentError("the folder of images is not named", got=kind, allowed="folder:DIR")
    folder = Path(path).expanduser()
    if not folder.is_dir():
        raise DataError("there is no folder of images", got=str(folder))
    names = class_names(folder)
    parts = class_folders(folder, {folder_name(name): label for label, name in enumerate(names)}) if len(names) > 1 else {}
    if not parts:
        raise DataError("the folder has no folders by class", got=str(folder),
                        allowed="images in two folders or more, one for each class; or such folders in train/, val/, test/")
    splits, skipped = read_parts(parts, RESOLUTION if resolution is None else resolution, seed=seed, limit=limit,
                                 validation=validation)
    return DataSet("image_folder", *splits, names, normalisation(normalise, splits[0]), f"images by class in {path}{skipped}")
