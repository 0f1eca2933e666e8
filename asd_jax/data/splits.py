"""Which clips train, which are held out, which test: deterministic, never by a folder's order.

Draws rank the recordings by a hash of their names, so a clip keeps its side when others come or go,
and all windows and noise versions of one recording stay together.
"""

import dataclasses
import hashlib
from collections.abc import Callable, Sequence

import numpy as np
from absl import logging

from asd_jax.data.table import ANOMALY, NORMAL, Clip, recording_keys
from asd_jax.naming import machine_name

_DCASE2020_TEST_NORMALS = 100
_TESTED = 0.3  # share of the normals that 'random' tests on

LEAST_HELD = 3  # recordings of a machine


def split_clips(clips: Sequence[Clip], rule: str = "hitachi", *, seed: int = 0) -> list[Clip]:
    """Fills the open `split` of clips by a rule of `SPLITS`; clips that have one keep it.

    All abnormal clips become test clips. A rule that leaves a machine nothing to train on is
    overruled: half of the normals are tested on, which the log says.
    """
    keys = recording_keys(clips)
    groups: dict[tuple[str, ...], list[int]] = {}
    for k, clip in enumerate(clips):
        if not clip.split:
            groups.setdefault((*clip.group, clip.snr), []).append(k)
    tested: set[int] = set()
    for (machine_type, machine_id, snr), members in groups.items():
        normals = sorted((k for k in members if clips[k].label == NORMAL), key=keys.__getitem__)
        abnormal = [k for k in members if clips[k].label == ANOMALY]
        order, number = SPLITS[rule]([keys[k] for k in normals], len(abnormal), seed)
        if normals and number >= len(normals):
            name = machine_name((machine_type, machine_id), (clip.group for clip in clips))
            where = name + (f" at {snr} dB" if snr else "")
            logging.warning(
                "%s: split %r would leave no normal clip for training; %d of %d are tested on.",
                *(where, rule, len(normals) // 2, len(normals)),
            )
            number = len(normals) // 2
        tested.update(abnormal, _whole(normals, [normals[k] for k in order[:number]], keys))
    return [
        clip if clip.split else dataclasses.replace(clip, split="test" if k in tested else "train")
        for k, clip in enumerate(clips)
    ]


def _whole(normals: Sequence[int], drawn: Sequence[int], keys: Sequence[str]) -> list[int]:
    """The clips drawn, with all windows of their recordings.

    Not those of the last one if that is all there is, and no window of another where a machine has
    only one recording.
    """
    chosen, every = list(dict.fromkeys(keys[k] for k in drawn)), {keys[k] for k in normals}
    if len(every) == 1:
        return list(drawn)
    if chosen and len(chosen) == len(every):
        chosen.pop()
    return [k for k in normals if keys[k] in set(chosen)]


def hold_out(
    clips: Sequence[Clip], fraction: float, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Parts the normal training clips of each machine: to fit on, and to calibrate on.

    Source and target clips are parted alike. Windows of one recording stay together, unless a
    machine has only one recording: then its last windows are held out.

    Args:
      clips: a whole table or a part; test clips and abnormal clips are never returned.
      fraction: share of each machine's recordings to hold out; of few recordings more, at least
        `LEAST_HELD` or half of them, for one says nothing of how recordings differ.
      seed: of the draw.

    Returns:
      `(fit_indices, held_out_indices)`, sorted int64 positions in `clips`. A machine with two clips
      or more has at least one in each; the only clip of a machine is fitted on.
    """
    keys = recording_keys(clips)
    groups: dict[tuple[str, str], list[int]] = {}
    for k, clip in enumerate(clips):
        if clip.split == "train" and clip.label == NORMAL:
            groups.setdefault(clip.group, []).append(k)
    fit: list[int] = []
    held: list[int] = []
    for members in groups.values():
        ours = _held_out(clips, keys, members, fraction, seed)
        held += [k for k in members if k in ours]
        fit += [k for k in members if k not in ours]
    return np.array(sorted(fit), np.int64), np.array(sorted(held), np.int64)


def _held_out(
    clips: Sequence[Clip], keys: list[str], members: list[int], fraction: float, seed: int
) -> set[int]:
    recordings: dict[tuple[str, str], list[int]] = {}
    for k in members:
        recordings.setdefault((clips[k].domain, keys[k]), []).append(k)
    if len(recordings) == 1:
        members = sorted(members, key=lambda k: clips[k].start)
        return set(members[len(members) - _share(len(members), fraction) :])
    ranked = sorted(recordings, key=lambda recording: rank(seed, recording[1]))
    chosen = set()
    for domain in sorted({domain for domain, _ in ranked}):
        ours = [recording for recording in ranked if recording[0] == domain]
        chosen.update(ours[: _share(len(ours), fraction, least=min(LEAST_HELD, len(ours) // 2))])
    if not chosen:  # every domain has a single recording
        chosen.add(ranked[0])
    return {k for recording in chosen for k in recordings[recording]}


def _share(number: int, fraction: float, *, least: int = 1) -> int:
    """About `fraction` of `number`, but at least one on each side of a split of two or more."""
    return 0 if number < 2 else min(max(round(fraction * number), least, 1), number - 1)


def rank(seed: int, key: str) -> bytes:
    """The place of a name in a draw: its hash, which does not depend on the other names."""
    return hashlib.sha256(f"{seed}:{key}".encode("utf-8", "surrogateescape")).digest()


def _hitachi(keys: list[str], abnormal: int, seed: int) -> tuple[list[int], int]:
    """The official MIMII baseline: as many normals as abnormals, the first by name, are tested."""
    return list(range(len(keys))), abnormal


def _random(keys: list[str], abnormal: int, seed: int) -> tuple[list[int], int]:
    """A drawn share of the normals is tested."""
    return _drawn(keys, seed), _share(len(keys), _TESTED)


def _dcase2020(keys: list[str], abnormal: int, seed: int) -> tuple[list[int], int]:
    """Splits as DCASE 2020 did with MIMII: 100 drawn normals of each machine are tested."""
    return _drawn(keys, seed), _DCASE2020_TEST_NORMALS


def _drawn(keys: list[str], seed: int) -> list[int]:
    return sorted(range(len(keys)), key=lambda k: rank(seed, keys[k]))


# From the sorted names of a machine's normals, the number of its abnormals and a seed to an order
# of the normals and how many, from the front, are tested.
SPLITS: dict[str, Callable[[list[str], int, int], tuple[list[int], int]]] = {
    "hitachi": _hitachi,
    "random": _random,
    "dcase2020": _dcase2020,
}
