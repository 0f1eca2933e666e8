"""What the networks learn to tell apart: the machines, or what stands in for them.

A machine alone gives the identification task one class, which is none: its loss is 0 whatever the
networks do. Then sub-folders of its recordings or clusters of them can be the classes. They are
classes of that task and of nothing else: scorers, thresholds and figures stay one a machine.
"""

import dataclasses
import os
from collections.abc import Callable, Sequence

import numpy as np
from absl import logging
from jaxtyping import Float, Int

from asd_jax.data.table import Clip, recording_keys
from asd_jax.errors import UserError
from asd_jax.features import host
from asd_jax.features.logmel import LogMel
from asd_jax.naming import machine_names

LEAST = 4  # clips that train, for each sub-folder that is to be a class unasked

ReadWaves = Callable[[Int[np.ndarray, "batch"]], Float[np.ndarray, "batch samples"]]


@dataclasses.dataclass(frozen=True)
class PretextLabels:
    """The classes of the identification task.

    Attributes:
        kind: 'machines', 'folders' or 'clusters'.
        names: of the classes.
        label: class of each clip of the table, int32; -1 for a clip that has none.
    """

    kind: str
    names: tuple[str, ...]
    label: np.ndarray


def by_machine(groups: Sequence[tuple[str, str]], label: np.ndarray) -> PretextLabels:
    """One class a machine; `label` `[clips]` is the machine of each clip."""
    return PretextLabels("machines", tuple(machine_names(groups)), label)


def by_folder(
    machines: PretextLabels, clips: Sequence[Clip], training: np.ndarray
) -> PretextLabels:
    """One class for each folder of a machine that normal training clips lie in.

    `training` has the positions of these clips in the table, `[training]`.

    Raises:
        UserError: no machine has more than one.
    """
    folders = _folders(clips, training)
    names = tuple(sorted(set(folders)))
    if len(names) <= len(machines.names):
        raise UserError(
            "config.data.classes is 'folders', but no machine's training recordings lie in several "
            "folders; sort them into sub-folders, or use 'clusters' or 'auto'."
        )
    number = {name: k for k, name in enumerate(names)}
    return _of_training("folders", names, clips, training, [number[f] for f in folders])


def _folders(clips: Sequence[Clip], training: np.ndarray) -> list[str]:
    """The folder of each training clip's recording."""
    return [os.path.dirname(key) for key in recording_keys([clips[i] for i in training])]


def by_cluster(
    machines: PretextLabels,
    clips: Sequence[Clip],
    fit: np.ndarray,
    training: np.ndarray,
    spectra: Float[np.ndarray, "training mels"],
    *,
    clusters: int,
    seed: int,
) -> PretextLabels:
    """Clusters each machine's clips by k-means of their spectra, with two clips a cluster or more.

    Args:
        machines: what stands in is sought for each of them.
        clips: the table.
        fit: positions `[fit]` of the clips that the centres are fitted on; the others join the
            nearest.
        training: positions `[training]` of all normal training clips.
        spectra: a row for each of `training`.
        clusters: of each machine, at most.
        seed: of the first centres.
    """
    from sklearn.cluster import KMeans

    machine, fitted = machines.label[training], np.isin(training, fit)
    names: list[str] = []
    found = np.full(len(training), -1)
    for number, name in enumerate(machines.names):
        own, seen = machine == number, fitted & (machine == number)
        count = max(1, min(clusters, int(seen.sum()) // 2))
        if count < clusters:
            logging.warning("%s has too few clips for %d clusters: %d.", name, clusters, count)
        # scikit-learn has no types: pyright reads `n_init: str` off the default.
        means = KMeans(count, n_init=10, random_state=seed)  # pyright: ignore[reportArgumentType]
        means.fit(spectra[seen])
        found[own] = len(names) + np.asarray(means.predict(spectra[own]))
        names += [f"{name} cluster {k}" for k in range(count)]
    return _of_training("clusters", tuple(names), clips, training, found)


def mean_spectra(
    gather: Callable[[np.ndarray], np.ndarray], rows: np.ndarray, spec: LogMel
) -> Float[np.ndarray, "rows mels"]:
    """Mean log-mel spectrum of each clip, dB, by NumPy: the same on every accelerator.

    `gather` gives int16 waveforms `[batch, samples]` of clips by their positions.
    """
    return np.stack([host.level(gather(np.array([row]))[0], spec).mean(axis=1) for row in rows])


def _of_training(
    kind: str,
    names: tuple[str, ...],
    clips: Sequence[Clip],
    training: np.ndarray,
    numbers: Sequence[int] | np.ndarray,
) -> PretextLabels:
    label = np.full(len(clips), -1, np.int32)
    label[training] = numbers
    return PretextLabels(kind, names, label)


def choose(
    wanted: str,
    machines: PretextLabels,
    clips: Sequence[Clip],
    fit: np.ndarray,
    training: np.ndarray,
    spectra: Callable[[], np.ndarray],
    *,
    clusters: int,
    seed: int,
) -> PretextLabels:
    """The classes that `config.data.classes` asks for.

    'auto' takes the machines where there are several. A single machine's sub-folders stand in if
    each has `LEAST` clips that train on average; without them it stays the only class.

    Args:
        wanted: 'auto', 'machines', 'folders' or 'clusters'.
        machines: see `by_machine`.
        clips: the table.
        fit: positions `[fit]` of the clips that the networks see.
        training: positions `[training]` of all normal training clips.
        spectra: gives a row for each of `training`; asked for if there are clusters to find.
        clusters: of each machine.
        seed: of the run.

    Raises:
        UserError: folders are asked for, and there are none.
    """
    if wanted == "clusters":
        return by_cluster(machines, clips, fit, training, spectra(), clusters=clusters, seed=seed)
    if wanted == "folders":
        return by_folder(machines, clips, training)
    if wanted == "auto" and len(machines.names) == 1:
        folders = set(_folders(clips, training))
        if 2 <= len(folders) <= len(fit) / LEAST:
            return by_folder(machines, clips, training)
    return machines
