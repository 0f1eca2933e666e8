"""The clips of a supervised run: decoded, labelled, and parted without asking the layout."""

import dataclasses
from collections.abc import Sequence

import numpy as np
from absl import logging

from asd_jax.data.cache import WaveCache
from asd_jax.data.clips import ANOMALY, NORMAL, Clip
from asd_jax.data.supervised import Parts, split_supervised
from asd_jax.data.table import recording_keys
from asd_jax.recipes.pump_classifier.settings import PumpClassifier
from asd_jax.runs.recordings import collected_warnings, open_recordings
from asd_jax.types import Group


@dataclasses.dataclass(frozen=True)
class LabelledCorpus:
    """Decoded clips and their parts; index arrays point into `clips` and `waves`.

    Attributes:
        label: 0 normal, 1 anomalous, -1 unknown, of each clip.
        recording: a name of the recording that each clip is a version or window of.
        groups: the machines of the clips that train, sorted.
        notes: what the user should know, one sentence each.
    """

    clips: tuple[Clip, ...]
    waves: WaveCache
    label: np.ndarray
    recording: np.ndarray
    parts: Parts
    groups: tuple[Group, ...]
    notes: tuple[str, ...]

    @property
    def told_apart(self) -> tuple:
        """Identifies the networks; here the same of any clips."""
        return ()

    def group(self, indices: np.ndarray) -> np.ndarray:
        """The index in `groups` of each clip's machine, `[clips]`; -1 if it did not train."""
        number = {group: g for g, group in enumerate(self.groups)}
        return np.array([number.get(self.clips[i].group, -1) for i in indices], int)


def balanced(clips: np.ndarray, label: np.ndarray) -> np.ndarray:
    """The clips, those of the rarer class repeated until both classes are as many.

    Args:
        clips: positions, int `[clips]`.
        label: of every position, `[positions]`.
    """
    sides = [clips[label[clips] == y] for y in (NORMAL, ANOMALY)]
    most = max(map(len, sides))
    return np.concatenate([np.resize(side, most) for side in sides if len(side)])


def load(config: PumpClassifier, *, progress: bool = True) -> LabelledCorpus:
    """Finds, decodes and splits the recordings that the config names.

    Raises:
        UserError: no root, no clips, a class without clips, or a split that cannot be.
    """
    split = config.split
    with collected_warnings() as notes:
        opened = open_recordings(config, progress=progress)
        clips = opened.clips
        parts = split_supervised(
            clips,
            split.rule,
            draw=split.draw,
            total=split.total,
            test_id=split.test_id,
            seed=split.seed,
            shares=split.shares,
        )
        for note in parts.notes:
            logging.warning("%s", note)
    return LabelledCorpus(
        clips=clips,
        waves=opened.waves,
        label=np.array([clip.label for clip in clips], np.int32),
        recording=np.array(recording_keys(clips)),
        parts=parts,
        groups=tuple(sorted({clips[i].group for i in parts.train})),
        notes=tuple(notes),
    )


def imagined(config: PumpClassifier, machines: int) -> LabelledCorpus:
    """A clip of each class that cannot be read: for plans without recordings."""
    label, both = np.array([NORMAL, ANOMALY], np.int32), np.arange(2)
    table = tuple(Clip("", "", "", "train", int(y), snr=config.pretrain.snr) for y in label)
    waves = WaveCache("", both, round(config.data.clip_seconds * config.data.sample_rate))
    return LabelledCorpus(table, waves, label, both, Parts(both, both, both), (), ())


def counts(config: PumpClassifier, machines: Sequence[tuple[int, int]]) -> dict[str, int]:
    """Clips of an epoch of each stage, of machines with so many normal and abnormal ones each.

    The training part is 7 of 10, of both classes; pre-training takes one noise level of it.
    """
    normal, abnormal = (sum(machine[k] for machine in machines) for k in (0, 1))
    if config.split.draw != "all":
        normal = abnormal = min(config.split.total // 2, normal, abnormal)
    if config.labels.imbalance == "balanced":
        normal = abnormal = max(normal, abnormal)
    everything = normal + abnormal
    synthetic = config.data.layout == "synthetic"
    levels = len(config.synthetic.snr if synthetic else config.data.snr) or 3
    share = 1.0 if config.pretrain.clips == "all" else 0.7
    first = {"pretrain": round(share * everything / levels)} if config.pretrain.snr else {}
    return {**first, "finetune": round(0.7 * everything)}
