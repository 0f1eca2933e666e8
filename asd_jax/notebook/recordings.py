"""Where a notebook's recordings come from: a folder, an upload, the microphone, or an example."""

import collections
import os
import pathlib
import shutil
import tempfile

from asd_jax.errors import UserError
from asd_jax.naming import machine_name
from asd_jax.notebook import colab

SOURCES = ("example", "upload", "record")
_TYPES = ("pump", "fan")  # of the example
_TESTED = 8  # healthy clips of each machine of the example that are tested, and as many faulty ones
_NEW = 2  # healthy and faulty ones that are kept to be scored at the end


def collect(
    source: str, folder: str | os.PathLike[str], *, clips: int = 40, seconds: float = 10.0
) -> pathlib.Path:
    """The folder of recordings that `configs/ensemble.py:folder` is to learn from.

    Args:
        source: one of `SOURCES`, or a folder, on Drive too (/content/drive/MyDrive/...).
        folder: where an upload, takes of the microphone, or the example go.
        clips: takes to record, or healthy clips of each machine of the example to train on.
        seconds: of each.

    Raises:
        UserError: the folder is not there, or the notebook can't ask for an upload or a microphone.
    """
    folder = pathlib.Path(folder)
    if source == "example":
        write_example(folder, clips=clips, seconds=seconds)
    elif source == "upload":
        colab.upload(folder)
    elif source == "record":
        for path in colab.record(folder, takes=clips, seconds=seconds):
            print(path)
    else:
        folder = _given(source)
    return folder


def _given(source: str) -> pathlib.Path:
    folder = pathlib.Path(source).expanduser()
    if colab.DRIVE in folder.parents:
        colab.mount_drive()
    if not source or not folder.is_dir():
        known = ", ".join(SOURCES)
        raise UserError(f"{source!r} is not a folder; give one that is there, or one of {known}.")
    return folder


def write_example(folder: pathlib.Path, *, clips: int, seconds: float) -> None:
    """Writes two synthetic machines as a user would lay out recordings; nothing if they are there.

    `<machine>/train/normal` to learn from, `<machine>/test/{normal,abnormal}` to judge by, and
    beside the folder, in `<folder>_new`, some of either kind to score at the end.
    """
    from asd_jax.data import synthetic

    if folder.exists():
        return
    kept = _TESTED + _NEW
    settings = synthetic.SyntheticMachines(
        types=_TYPES, ids=("id_00",), normal=clips + kept, abnormal=kept, seconds=seconds
    )
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as temporary:
        made, laid = pathlib.Path(temporary) / "made", pathlib.Path(temporary) / "laid"
        synthetic.write_machines(made, settings, progress=True)
        new = folder.with_name(f"{folder.name}_new")
        new.mkdir(exist_ok=True)
        for kind in _TYPES:
            for label in ("normal", "abnormal"):
                for k, path in enumerate(sorted((made / f"0_dB_{kind}/id_00/{label}").iterdir())):
                    if k < _NEW:
                        shutil.move(path, new / f"{kind}_{label}_{k}.wav")
                        continue
                    use = "test" if k < kept else "train"
                    target = laid / kind / use / label / path.name
                    target.parent.mkdir(parents=True, exist_ok=True)
                    shutil.move(path, target)
        os.replace(laid, folder)


def further(source: str, folder: str | os.PathLike[str], *, seconds: float = 10.0) -> pathlib.Path:
    """The folder of recordings to score: of the same kinds as `collect`'s, kept apart from them.

    Args:
        source: 'example' for those beside the example, or another source of `collect`.
        folder: the one of `collect`; new ones go to `<folder>_new`.
        seconds: of a take of the microphone; one is made.
    """
    new = pathlib.Path(folder)
    new = new.with_name(f"{new.name}_new")
    return new if source == "example" else collect(source, new, clips=1, seconds=seconds)


def overview(folder: str | os.PathLike[str]) -> str:
    """Lists machines with numbers of recordings and minutes by use, in Markdown.

    Raises:
        UserError: there is no healthy recording to learn from.
    """
    from asd_jax.data.clips import ANOMALY, NORMAL, UNKNOWN, read_clips
    from asd_jax.data.decode import UnreadableError, recording_seconds

    words = {NORMAL: "healthy", ANOMALY: "faulty", UNKNOWN: "unlabelled"}
    uses = {"train": "to learn from", "test": "to judge"}
    counts: collections.Counter = collections.Counter()
    length: dict[tuple, float] = collections.defaultdict(float)
    clips = read_clips("folder", folder)
    groups = {clip.group for clip in clips}
    for clip in clips:
        row = (machine_name(clip.group, groups), uses[clip.split], words[clip.label])
        counts[row] += 1
        try:
            length[row] += recording_seconds(clip.path)
        except UnreadableError as error:
            print(f"left out: {clip.path}: {error.reason}")
    rows = [f"| {' | '.join(row)} | {n} | {length[row] / 60:.1f} |" for row, n in counts.items()]
    head = "| machine | use | state | recordings | minutes |\n| --- | --- | --- | --- | --- |"
    return "\n".join([head, *rows])


def some(folder: str | os.PathLike[str], *, of_each: int = 1) -> list[str]:
    """The first recordings of each machine, use and state: something to listen to."""
    from asd_jax.data.clips import read_clips

    seen: collections.Counter = collections.Counter()
    paths = []
    for clip in read_clips("folder", folder):
        key = (clip.group, clip.label)
        seen[key] += 1
        if seen[key] <= of_each:
            paths.append(clip.path)
    return paths
