"""The clips of a run: which are trained on, held out and tested, and of which machine each is."""

import dataclasses
from collections import Counter
from collections.abc import Sequence

import numpy as np
from absl import logging

from asd_jax.data import cache, clips
from asd_jax.data.clips import Clip
from asd_jax.data.splits import hold_out
from asd_jax.errors import UserError
from asd_jax.naming import machine_name
from asd_jax.recipes.ensemble import networks, pretext_labels
from asd_jax.recipes.ensemble.pretext_labels import PretextLabels
from asd_jax.recipes.ensemble.settings import Ensemble
from asd_jax.runs.recordings import collected_warnings, open_recordings
from asd_jax.types import Group

FEW = 20  # normal clips of a machine, below which its user is warned


@dataclasses.dataclass(frozen=True)
class Corpus:
    """Decoded clips and their roles; the index arrays point into `clips` and `waves`.

    Attributes:
        groups: the machines, sorted; only those that have normal training clips.
        label: machine of each clip, -1 for a clip of a machine that has no training clips.
        pretext_labels: what the networks learn to tell apart: machines, or a stand-in for them.
        fit: normal training clips that networks and normalisers see.
        held_out: normal training clips that only the calibration sees.
        test: clips to score.
        notes: what the user should know, one sentence each.
    """

    clips: tuple[Clip, ...]
    waves: cache.WaveCache
    groups: tuple[Group, ...]
    label: np.ndarray
    pretext_labels: PretextLabels
    fit: np.ndarray
    held_out: np.ndarray
    test: np.ndarray
    notes: tuple[str, ...]

    @property
    def training(self) -> np.ndarray:
        """Positions `[clips]` of all normal training clips: `fit` and `held_out`, in order."""
        return np.union1d(self.fit, self.held_out)

    @property
    def told_apart(self) -> tuple:
        """Identifies the networks: runs that differ in it cannot share them."""
        return self.groups, len(self.pretext_labels.names)

    @property
    def names(self) -> list[str]:
        """Returns the names of clips that train, are held out and are tested, in this order."""
        order = np.concatenate([self.fit, self.held_out, self.test])
        return [self.clips[i].name for i in order]


def load(config: Ensemble, *, progress: bool = True) -> Corpus:
    """Finds, decodes and splits the recordings that the config names.

    Raises:
        UserError: no root, no clips, or no normal clips to train on.
    """
    with collected_warnings() as notes:
        opened = open_recordings(config, progress=progress)
        corpus = assemble(opened, config.data.hold_out, config.seed)
        if config.data.all_train:
            logging.warning(
                "All normal clips train, so none calibrates that the networks have not seen: "
                "thresholds are lower than fresh clips need, and identification is not measured."
            )
            corpus = dataclasses.replace(corpus, fit=corpus.training)
        taught = _pretext_labels(corpus, config)
    return dataclasses.replace(corpus, pretext_labels=taught, notes=tuple(notes))


def _pretext_labels(corpus: Corpus, config: Ensemble) -> PretextLabels:
    """The classes that the config asks for."""
    return pretext_labels.choose(
        config.data.classes,
        corpus.pretext_labels,
        corpus.clips,
        corpus.fit,
        corpus.training,
        lambda: pretext_labels.mean_spectra(
            corpus.waves.gather, corpus.training, networks.front_end(config)
        ),
        clusters=config.data.clusters,
        seed=config.seed,
    )


def assemble(opened: cache.CachedClips, share: float, seed: int) -> Corpus:
    """Gives every decoded clip its role; each machine is a class.

    Raises:
        UserError: no normal recording that trains is readable.
    """
    table = opened.clips
    train = [i for i, c in enumerate(table) if c.split == "train" and c.label == clips.NORMAL]
    if not train:
        raise UserError("there is no readable normal recording to train on.")
    groups = tuple(sorted({table[i].group for i in train}))
    class_of = {group: number for number, group in enumerate(groups)}
    label = np.array([class_of.get(c.group, -1) for c in table], np.int32)
    for sentence in _few_clips(table, groups):
        logging.warning("%s", sentence)
    fit, held = hold_out(table, share, seed)
    test = [i for i, c in enumerate(table) if c.split == "test" and label[i] >= 0]
    return Corpus(
        clips=table,
        waves=opened.waves,
        groups=groups,
        label=label,
        pretext_labels=pretext_labels.by_machine(groups, label),
        fit=np.asarray(fit, int),
        held_out=np.asarray(held, int),
        test=np.array(test, int),
        notes=(),
    )


def _few_clips(table: Sequence[Clip], groups: Sequence[Group]) -> list[str]:
    """A sentence for each machine with so few normal clips that its threshold is rough."""
    trained = Counter(clip.group for clip in table if clip.split == "train")
    few = [
        f"{machine_name(group, groups)} ({trained[group]})"
        for group in groups
        if trained[group] < FEW
    ]
    if not few:
        return []
    return [
        f"There are few healthy clips of {', '.join(few)}, so the threshold is rough. Some 50 from "
        "different days make a detector that can be trusted."
    ]


def imagined(config: Ensemble, machines: int) -> Corpus:
    """A corpus of so many machines of which no clip can be read: for plans without recordings."""
    groups = tuple(("", str(number)) for number in range(machines))
    nothing = np.zeros(0, int)
    waves = cache.WaveCache("", nothing, networks.clip_samples(config))
    taught = pretext_labels.by_machine(groups, nothing)
    return Corpus((), waves, groups, nothing, taught, nothing, nothing, nothing, ())


def number_fitted(config: Ensemble, machines: Sequence[tuple[int, int]]) -> int:
    """Counts the clips that networks see, of machines with so many normal and abnormal ones."""
    data, total = config.data, 0
    random = data.layout == "mimii" and data.split == "random"
    for normal, abnormal in machines:
        train = normal - (round(0.3 * normal) if random else abnormal)
        total += train - round(data.hold_out * train)
    return total
