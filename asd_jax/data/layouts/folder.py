"""A user's own folders: `<machine>/{train,test}/{normal,abnormal}/*`, and what comes close to it.

The names of the folders on the way to a recording decide, in any case: `train` (or `val`, which is
learned from too) and `test` give the use, `normal` and `abnormal` the label, the folders above the
first of these the machine, and the folders below it nothing. `<machine>/{normal,abnormal}` leaves
the use to a split rule. Where no such name occurs at all, every recording is a normal training
sound of one machine. Names that look like other states (`broken`, `gesund`, `after_repair`) are
asked about: `config.data.normal` and `config.data.abnormal` add names. A folder beside `test/good`
is one of faults, whatever its name, as in MVTec AD (Bergmann et al., CVPR 2019). What the folders
below mean for training is `asd_jax.recipes.ensemble.pretext_labels`' to say.
"""

import os
import pathlib
import re
import shlex
from collections import Counter
from collections.abc import Sequence

from absl import logging

from asd_jax.data.layouts import states
from asd_jax.data.layouts.files import Found, Wanted, audio_files
from asd_jax.data.table import ANOMALY, NORMAL, UNKNOWN, Clip
from asd_jax.errors import UserError
from asd_jax.naming import ONLY_ID, first_few, printable

_SPLITS = {
    **dict.fromkeys(("train", "training", "val", "valid", "validation"), "train"),
    **dict.fromkeys(("test", "testing"), "test"),
}
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
    files = audio_files(root)
    name = _machine(root.resolve())
    names = _Names(wanted, files)
    if idle := names.idle(files):
        raise UserError(
            f"config.data.normal or abnormal names {idle!r}, which no folder or file of {root} has."
        )
    clips = [names.clip(file, name) for file in files]
    _ask(files, names, root)
    if not any(names.speaks(folder) for file in files for folder in file.folders) and not any(
        names.word(file) is not None for file in files
    ):
        return [Clip(file.path, name, ONLY_ID, "train", NORMAL) for file in files]
    known = [clip for clip in clips if clip]
    _say_unused(files, known, names, root)
    if not known:
        raise UserError(
            f"{root} holds only abnormal training recordings; put normal ones in train/normal."
        )
    return known


def _machine(root: pathlib.Path) -> str:
    """The name of the first folder upwards that is not a state or a split: `motor/train/normal`."""
    names = [folder.name for folder in (root, *root.parents)]
    known = {*_LABELS, *_SPLITS}
    return next((name for name in names if name and _plain(name) not in known), "machine")


def hint(clips: Sequence[Clip], root: str | os.PathLike[str]) -> str:
    """What to do if sub-folders that no name calls healthy are not, or are machines; else ''."""
    untold = {
        os.path.dirname(clip.path)
        for clip in clips
        if clip.split == "train" and told_label(os.path.abspath(clip.path)) == UNKNOWN
    }
    if len(untold) < 2:
        return ""
    several = len({clip.group for clip in clips}) > 1
    return (
        f"       No name says that these {len(untold)} folders hold healthy sound. If one does "
        "not: --config.data.abnormal=NAME."
        + ("" if several else " If they are machines: move each one's to MACHINE/normal.")
    )


def told_label(path: str) -> int:
    """The label that a single recording's path tells by a folder or as DCASE's names do."""
    *folders, name = pathlib.PurePath(path).parts
    for folder in reversed(folders):
        if (known := _LABELS.get(_plain(folder))) is not None:
            return known
    found = re.search(r"(?:^|_)(normal|anomaly)_(?:id_)?\d", name)
    return _LABELS[found[1]] if found else UNKNOWN


class _Names:
    """Meanings of the names of folders; raises UserError where a word has two."""

    def __init__(self, wanted: Wanted, files: list[Found]):
        """Args: with the user's own words; all files, for what lies beside a folder."""
        normal, abnormal = (
            [_plain(w) for w in words] for words in (wanted.normal, wanted.abnormal)
        )
        if both := set(normal) & set(abnormal):
            raise UserError(f"config.data.normal and abnormal both name {min(both)!r}.")
        self.given = dict.fromkeys(normal, NORMAL) | dict.fromkeys(abnormal, ANOMALY)
        self.labels = {**_LABELS, **self.given}
        # Test folders with a folder of normals: the others in there are faults.
        self._sorted = {
            file.folders[:k]
            for file in files
            for k in range(1, len(file.folders))
            if _SPLITS.get(_plain(file.folders[k - 1])) == "test"
            and self.labels.get(_plain(file.folders[k])) == NORMAL
        }

    def idle(self, files: list[Found]) -> str:
        """A word of the user's that nothing is named; '' if there is none."""
        there = {_plain(folder) for file in files for folder in file.folders}
        left = set(self.given) - there
        return min(left - {word for file in files for word in _words(file.name)}, default="")

    def speaks(self, folder: str) -> bool:
        return _plain(folder) in _SPLITS or _plain(folder) in self.labels

    def word(self, file: Found) -> int | None:
        """The label that a file's name tells by one of the user's words, else None."""
        if not self.given:
            return None
        found = {self.given[word] for word in _words(file.name) if word in self.given}
        return max(found, default=None)  # ANOMALY before NORMAL

    def label(self, file: Found) -> int | None:
        """The label that folders, or the file's name, tell; else None."""
        for k, folder in enumerate(file.folders):
            if (known := self.labels.get(_plain(folder))) is not None:
                return known
            if file.folders[:k] in self._sorted:
                return ANOMALY
        return self.word(file)

    def clip(self, file: Found, root_name: str) -> Clip | None:
        """The clip of a file; None where nothing tells, or it is an abnormal to train on."""
        telling = [k for k, folder in enumerate(file.folders) if self.speaks(folder)]
        label = self.label(file)
        if not telling and label is None:
            return None
        machine = file.folders[: telling[0]] if telling else file.folders
        machine = machine or (root_name,)
        words = [_plain(file.folders[k]) for k in telling]
        split = next((_SPLITS[word] for word in words if word in _SPLITS), "")
        if label is None:
            label = UNKNOWN if split == "test" else NORMAL
        if split == "train" and label == ANOMALY:
            return None
        return Clip(file.path, machine[0], "/".join(machine[1:]) or ONLY_ID, split, label)


def _plain(name: str) -> str:
    """A name as it is compared."""
    return states.folded(name).strip()


def _words(file_name: str) -> set[str]:
    """The words of a file's name, and the name as one."""
    name = os.path.splitext(file_name)[0]
    return states.words_of(name) | {states.as_one(name)}


def _ask(files: list[Found], names: "_Names", root: pathlib.Path) -> None:
    """Raises UserError where names tell of states that nothing says the meaning of."""
    untold = [file for file in files if names.label(file) is None]
    labelled = {
        file.folders[:k]
        for file in files
        for k, folder in enumerate(file.folders)
        if _plain(folder) in names.labels
    }
    inside: dict[tuple[str, ...], set[str]] = {}
    for file in untold:
        for k, folder in enumerate(file.folders):
            if not names.speaks(folder):
                inside.setdefault(file.folders[:k], set()).add(folder)
    parents = {
        parent
        for parent, own in inside.items()
        if any(map(states.asking, own))
        or {states.HEALTHY} < set(states.beside(own).values())
        or (parent in labelled and any(states.of_name(name) for name in own))
    }
    if parents:
        beside = Counter(
            file.folders[: k + 1]
            for file in files
            for k in range(len(file.folders))
            if file.folders[:k] in parents
        )
        shown = [f"{'/'.join(folder)} ({count})" for folder, count in sorted(beside.items())]
        raise UserError(_question(root, shown, {folder[-1] for folder in beside}))
    tested = [any(_SPLITS.get(_plain(d)) == "test" for d in file.folders) for file in untold]
    loose = [
        os.path.splitext(file.name)[0]
        for file, test in zip(untold, tested, strict=True)
        if not test
    ]
    counts = Counter(word for name in loose for word in states.asking(name))
    if counts:
        shown = [f"{word} in {count} file names" for word, count in sorted(counts.items())]
        healthy = {
            w
            for name in loose
            for w in states.words_of(name)
            if states.of_word(w) == states.HEALTHY
        }
        raise UserError(_question(root, shown, {*counts, *healthy}))


def _question(root: pathlib.Path, shown: list[str], named: set[str]) -> str:
    told = states.beside(named)
    # What nothing is known of is what the others are not.
    other = states.HEALTHY if states.FAULTY in told.values() else states.FAULTY
    healthy, faulty = (
        shlex.quote(",".join(sorted(n for n in named if (told[n] or other) == state)) or "NAME")
        for state in (states.HEALTHY, states.FAULTY)
    )
    return printable(
        f"{root} has names that look like states of a machine: {first_few(shown, 6)}. Say which "
        f"are healthy and which are not, for example --config.data.normal={healthy} "
        f"--config.data.abnormal={faulty}; a name that is not a state goes with the healthy ones."
    )


def _say_unused(files: list[Found], clips: list[Clip], names: _Names, root: pathlib.Path) -> None:
    used = {clip.path for clip in clips}
    unused = [file for file in files if file.path not in used]
    lost = [
        file
        for file in unused
        if not any(map(names.speaks, file.folders)) and names.word(file) is None
    ]
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
