"""Splits with anomalies on every side, for a supervised classifier: train, validation, test.

Draws rank names by a hash, as those of `asd_jax.data.splits`: a clip keeps its side when others
come or go. What a split leaks is counted, not assumed.
"""

import dataclasses
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from asd_jax.data.splits import rank
from asd_jax.data.table import ANOMALY, NORMAL, UNKNOWN, Clip, recording_keys
from asd_jax.errors import UserError

SHARES = (0.7, 0.2, 0.1)  # train, validation, test: Sun (2025), section 3.3
PRINTED = 2700  # spectrograms in all: 1890 + 540 + 270
DRAWS = ("all", "balanced", "any")


@dataclasses.dataclass(frozen=True)
class Parts:
    """Positions in the clip table, ascending.

    Attributes:
        train: clips that networks learn from.
        validation: clips that choose the checkpoint.
        test: clips that are reported.
        notes: what a reader must know of this split, one sentence each.
    """

    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray
    notes: tuple[str, ...] = ()


def split_supervised(
    clips: Sequence[Clip],
    rule: str = "group_clip",
    *,
    draw: str = "all",
    total: int = PRINTED,
    test_id: str = "",
    seed: int = 0,
    shares: Sequence[float] = SHARES,
) -> Parts:
    """Parts the labelled clips for a supervised classifier.

    Args:
        clips: the table; the split that its layout or a rule for detectors gave is ignored.
        rule: a key of `SPLITS`. `sun_721` draws clip by clip, as printed: versions of a recording
            at other noise levels then lie on both sides. `group_clip` keeps the versions and
            windows of a recording together. `leave_one_id_out` tests on an unseen machine.
        draw: which clips take part. `all`; `balanced`, as many normal as anomalous ones, `total`
            together; `any`, `total` at random. The printed 2700 of 12615 leave both readings open.
        total: clips to draw; fewer where there are fewer.
        test_id: for `leave_one_id_out`: the machine ID to test on; '' the last by name.
        seed: of all draws.
        shares: of training, validation and test, which sum to 1.

    Raises:
        UserError: a class without clips, or a machine that isn't there.
    """
    labelled = [k for k, clip in enumerate(clips) if clip.label != UNKNOWN]
    for label, word in ((NORMAL, "normal"), (ANOMALY, "abnormal")):
        if not any(clips[k].label == label for k in labelled):
            raise UserError(f"There is no {word} recording; a classifier needs both kinds.")
    keys = recording_keys(clips)
    table = _Table(clips, keys, seed, shares)
    sides = SPLITS[rule](table, _draw(table, labelled, draw, total), test_id)
    train, validation, test = (np.array(sorted(side), np.int64) for side in sides)
    for side, name in ((train, "training"), (validation, "validation"), (test, "test")):
        if not len(side):
            raise UserError(f"config.split.rule {rule!r} leaves no {name} clip; get more clips.")
    notes = [
        f"The {name} clips are all {'normal' if labels == {NORMAL} else 'abnormal'}."
        for name, side in (("validation", validation), ("test", test))
        if len(labels := {clips[k].label for k in side}) == 1
    ]
    seen = {keys[k] for k in (*train, *validation)}
    leaks = sum(keys[k] in seen for k in test)
    if leaks and rule != "sun_721":  # only the split that is printed so may leak
        raise AssertionError(f"split {rule!r} leaks {leaks} test clips")
    if leaks:
        notes.append(
            f"This split leaks: of {leaks} of the {len(test)} test clips the same recording "
            "at another noise level is among those trained or selected on, so the figures say "
            "little about recordings never heard. Use --config.split.rule=group_clip for that."
        )
    return Parts(train, validation, test, tuple(notes))


class _Table(NamedTuple):
    """What every rule parts, and how."""

    clips: Sequence[Clip]
    keys: list[str]  # of the recordings, one a clip
    seed: int
    shares: Sequence[float]

    def name(self, k: int) -> str:
        return f"{self.keys[k]}:{self.clips[k].start:g}"


def _draw(table: _Table, labelled: list[int], draw: str, total: int) -> list[int]:
    if draw == "all":
        return labelled
    clips = table.clips
    ranked = sorted(
        labelled, key=lambda k: rank(table.seed, f"draw:{clips[k].snr}:{table.name(k)}")
    )
    if draw == "any":
        return ranked[:total]
    by_label = [[k for k in ranked if clips[k].label == y] for y in (NORMAL, ANOMALY)]
    each = min(total // 2, *map(len, by_label))
    return [k for members in by_label for k in members[:each]]


def _sun_721(table: _Table, chosen: list[int], _: str) -> list[list[int]]:
    """Section 3.3 as printed: "each spectrogram was randomly divided ... according to 7:2:1"."""
    ranked = sorted(chosen, key=lambda k: rank(table.seed, f"{table.clips[k].snr}:{table.name(k)}"))
    return _cut(ranked, table.shares)


def _group_clip(table: _Table, chosen: list[int], _: str) -> list[list[int]]:
    """Shares of the recordings of each machine and label, with all their versions and windows."""
    strata: dict[tuple[str, str, int], set[str]] = {}
    for k in chosen:
        clip = table.clips[k]
        strata.setdefault((*clip.group, clip.label), set()).add(table.keys[k])
    side_of: dict[str, int] = {}
    for members in strata.values():
        ranked = sorted(members, key=lambda key: rank(table.seed, key))
        for number, side in enumerate(_cut(ranked, table.shares)):
            side_of |= dict.fromkeys(side, number)
    return [[k for k in chosen if side_of[table.keys[k]] == number] for number in range(3)]


def _leave_one_id_out(table: _Table, chosen: list[int], test_id: str) -> list[list[int]]:
    """One machine ID, of every type, is tested; the others' share of the test trains."""
    own = {k: table.clips[k].machine_id for k in chosen}
    ids = sorted(set(own.values()))
    test_id = test_id or ids[-1]
    if test_id not in ids or len(ids) < 2:
        raise UserError(
            f"config.split.test_id is {test_id!r}; the data has {', '.join(ids)}, and one machine "
            "to test on and one to train on are needed."
        )
    rest = [k for k in chosen if own[k] != test_id]
    train, validation, spare = _group_clip(table, rest, "")
    return [train + spare, validation, [k for k in chosen if own[k] == test_id]]


def _cut(ranked: list, shares: Sequence[float]) -> list[list]:
    """Cuts a list by shares; three or more members leave no part empty."""
    number = len(ranked)
    least = 1 if number >= 3 else 0
    test = max(least, round(shares[2] * number))
    validation = max(least, round(shares[1] * number))
    train = number - validation - test
    return [ranked[:train], ranked[train : train + validation], ranked[train + validation :]]


SPLITS: dict[str, Callable[..., list[list[int]]]] = {
    "group_clip": _group_clip,
    "leave_one_id_out": _leave_one_id_out,
    "sun_721": _sun_721,
}
