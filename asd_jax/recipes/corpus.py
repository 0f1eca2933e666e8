"""The clips of a run: which are trained on, held out and tested, and of which machine each is."""

import contextlib
import dataclasses
import hashlib
import logging as std_logging
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from absl import logging

from asd_jax.data import cache, clips, synthetic
from asd_jax.data.clips import Clip
from asd_jax.data.splits import hold_out
from asd_jax.errors import UserError
from asd_jax.files import cache_folder
from asd_jax.recipes import classes, networks
from asd_jax.recipes.settings import Data, Ensemble, Synthetic
from asd_jax.words import machine_name

FEW = 20  # normal clips of a machine, below which its user is warned
Group = tuple[str, str]  # (machine type, machine ID): one set of scorers, one threshold


@dataclasses.dataclass(frozen=True)
class Corpus:
    """Decoded clips and their roles; the index arrays point into `clips` and `waves`.

    Attributes:
        groups: the machines, sorted; only those that have normal training clips.
        label: machine of each clip, -1 for a clip of a machine that has no training clips.
        classes: what the networks learn to tell apart: the machines, or what stands in for them.
        fit: normal training clips that networks and normalisers see.
        held_out: normal training clips that only the calibration sees.
        test: clips to score.
        notes: what the user should know, one sentence each.
    """

    clips: tuple[Clip, ...]
    waves: cache.WaveCache
    groups: tuple[Group, ...]
    label: np.ndarray
    classes: classes.Classes
    fit: np.ndarray
    held_out: np.ndarray
    test: np.ndarray
    notes: tuple[str, ...]

    @property
    def training(self) -> np.ndarray:
        """All normal training clips: `fit` and `held_out`, in order."""
        return np.union1d(self.fit, self.held_out)

    @property
    def names(self) -> list[str]:
        """Of the clips that train, are held out and are tested, in this order."""
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
        taught = _classes(corpus, config)
    return dataclasses.replace(corpus, classes=taught, notes=tuple(notes))


def _classes(corpus: Corpus, config: Ensemble) -> classes.Classes:
    """The classes that the config asks for."""
    return classes.choose(
        config.data.classes,
        corpus.classes,
        corpus.clips,
        corpus.fit,
        corpus.training,
        lambda: classes.mean_spectra(
            corpus.waves.gather, corpus.training, networks.front_end(config)
        ),
        clusters=config.data.clusters,
        seed=config.seed,
    )


def open_recordings(config: Any, *, progress: bool = True) -> cache.CachedClips:
    """Finds and decodes the recordings that `config.data` (or `config.synthetic`) names.

    Args:
        config: settings with the fields `data`, `synthetic` and `seed`, of any recipe.
        progress: show progress bars.

    Raises:
        UserError: no root, or no clips.
    """
    data = config.data
    root = synthetic_root(config.synthetic, data) if data.layout == "synthetic" else data.root
    if data.layout == "synthetic":
        write_synthetic(config, progress=progress)
    elif not root:
        raise UserError(
            "config.data.root is empty; say where the recordings lie: --config.data.root=DIR."
        )
    table = clips.read_clips(
        "mimii" if data.layout == "synthetic" else data.layout,
        root,
        machines=data.machines,
        snr=data.snr,
        split=data.split,
        use_additional=data.use_additional,
        seed=config.seed,
    )
    opened = cache.open_cache(
        table, _cache_directory(data, root), wave_settings(data), progress=progress
    )
    for path, reason in opened.unreadable:
        logging.warning("%s is left out: %s.", path, reason.rstrip("."))
    return opened


def assemble(opened: cache.CachedClips, share: float, seed: int) -> Corpus:
    """Gives every decoded clip its role; each machine is a class."""
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
        classes=classes.by_machine(groups, label),
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
        f"There are few normal clips of {', '.join(few)}: the thresholds are rough. Some 50 clips "
        "from different days make a detector that can be trusted."
    ]


@contextlib.contextmanager
def collected_warnings() -> Iterator[list[str]]:
    """Collects what is logged as a warning meanwhile: the report repeats it."""
    found: list[str] = []
    handler = std_logging.Handler(std_logging.WARNING)
    handler.emit = lambda record: found.append(record.getMessage())
    logging.get_absl_logger().addHandler(handler)
    try:
        yield found
    finally:
        logging.get_absl_logger().removeHandler(handler)


def wave_settings(data: Data) -> cache.WaveSettings:
    """How recordings become clips."""
    return cache.WaveSettings(
        sample_rate=data.sample_rate,
        clip_seconds=data.clip_seconds,
        channel=data.source_channel,
        long=data.long,
        hop_seconds=data.hop_seconds or data.clip_seconds,
    )


def write_synthetic(config: Any, *, progress: bool = True) -> str:
    """Writes the synthetic machines of a config unless they are there; returns their folder."""
    root = synthetic_root(config.synthetic, config.data)
    synthetic.write_machines(root, synthetic_machines(config.synthetic), progress=progress)
    return root


def synthetic_machines(settings: Synthetic) -> synthetic.SyntheticMachines:
    """The generator's settings."""
    return synthetic.SyntheticMachines(**dataclasses.asdict(settings))


def synthetic_root(settings: Synthetic, data: Data) -> str:
    """Where these synthetic machines lie: `data.root`, or a folder named after their settings."""
    digest = hashlib.sha256(repr((synthetic.VERSION, settings)).encode()).hexdigest()[:12]
    return data.root or os.path.join(cache_folder("synthetic"), digest)


def _cache_directory(data: Data, root: str) -> str:
    digest = hashlib.sha256(os.path.realpath(root).encode()).hexdigest()[:12]
    return os.path.join(data.cache or cache_folder("waves"), digest)
