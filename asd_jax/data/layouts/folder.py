"""A user's own folders: `<machine>/{train,test}/{normal,abnormal}/*`, and what comes close to it.

The names of the folders on the way to a recording decide, in any case: `train` and `test` give
the use, `normal` and `abnormal` the label, the folders above the first of these the machine, and
the folders below it nothing. `<machine>/{normal,abnormal}` leaves the use to a split rule. Where no
such name occurs at all, every recording is a normal training sound of one machine. What the folders
below mean for training is `asd_jax.recipes.ensemble.pretext_labels`' to say.
"""

import pathlib

from absl import logging

from asd_jax.data.layouts.files import Found, audio_files
from asd_jax.data.layouts.wanted import Wanted
from asd_jax.data.table import ANOMALY, NORMAL, UNKNOWN, Clip
from asd_jax.errors import UserError
from asd_jax.words import ONLY_ID

_SPLITS = {"train": "train", "training": "train", "test": "test", "testing": "test"}
_LABELS = {
    **dict.fromkeys(("normal", "normals", "healthy", "ok", "good"), NORMAL),
    **dict.fromkeys(("abnormal", "anomaly", "anomalous", "anomalies"), ANOMALY),
    **dict.fromkeys(("faulty", "fault", "faults", "damaged", "nok"), ANOMALY),
}


def read_folder(root: pathlib.Path, wanted: Wanted) -> list[Clip]:
    """Reads a user's folders; clips outside train and test folders keep `split` open.

    Raises:
      UserError: there is no recording, or none in a folder with a known name.
    """
    del wanted
    files = audio_files(root)
    name = root.resolve().name or "machine"
    if not any(_speaks(folder) for file in files for folder in file.folders):
        logging.info(
            "No train, test, normal or abnormal folder in %s: all %d recordings are taken as "
            "normal training sounds of one machine, %r. If its sub-folders are machines, move each "
            "one's recordings to MACHINE/normal: then it has a threshold of its own.",
            root,
            len(files),
            name,
        )
        return [Clip(file.path, name, ONLY_ID, "train", NORMAL) for file in files]
    clips = [clip for clip in (_clip(file, name) for file in files) if clip]
    _say_unused(files, clips, root)
    if not clips:
        raise UserError(
            f"{root} holds only abnormal training recordings; put normal ones in train/normal."
        )
    return clips


def _speaks(folder: str) -> bool:
    return folder.lower() in _SPLITS or folder.lower() in _LABELS


def _clip(file: Found, root_name: str) -> Clip | None:
    """The clip of a file; None where its folders say nothing or it is an abnormal to train on."""
    telling = [k for k, folder in enumerate(file.folders) if _speaks(folder)]
    if not telling:
        return None
    machine = file.folders[: telling[0]] or (root_name,)
    words = [file.folders[k].lower() for k in telling]
    split = next((_SPLITS[word] for word in words if word in _SPLITS), "")
    unsaid = UNKNOWN if split == "test" else NORMAL
    label = next((_LABELS[word] for word in words if word in _LABELS), unsaid)
    if split == "train" and label == ANOMALY:
        return None
    return Clip(file.path, machine[0], "/".join(machine[1:]) or ONLY_ID, split, label)


def _say_unused(files: list[Found], clips: list[Clip], root: pathlib.Path) -> None:
    used = {clip.path for clip in clips}
    unused = [file for file in files if file.path not in used]
    lost = [file for file in unused if not any(map(_speaks, file.folders))]
    if lost:
        logging.warning(
            "%d recordings, the first %s, are in no train, test, normal or abnormal folder: they "
            "are left out. Move normal ones into a folder named normal to use them.",
            len(lost),
            lost[0].path,
        )
    if len(unused) > len(lost):
        logging.warning(
            "%d abnormal recordings in train folders of %s are left out: training hears normal "
            "sounds only.",
            len(unused) - len(lost),
            root,
        )
