"""Splits keep their promises on many random tables."""

import dataclasses

import numpy as np
import pytest

from asd_jax.data.clips import ANOMALY, NORMAL, Clip
from asd_jax.data.splits import SPLITS, hold_out, split_clips
from asd_jax.data.table import recording_keys


def table(seed: int) -> list[Clip]:
    """Machines with 1 to 40 normal and 0 to 15 abnormal clips at one or two noise levels."""
    rng = np.random.default_rng(seed)
    clips = []
    for machine in range(4):
        normal, abnormal = rng.integers(1, 40), rng.integers(0, 15)
        for snr in ("0", "6")[: rng.integers(1, 3)]:
            folder = f"/d/{snr}/fan/id_{machine:02d}"
            for label, kind, number in ((0, "normal", normal), (1, "abnormal", abnormal)):
                paths = [f"{folder}/{kind}/{k:03d}.wav" for k in range(number)]
                clips += [Clip(p, "fan", f"{machine:02d}", "", label, snr=snr) for p in paths]
    rng.shuffle(clips)
    return clips


def by_name(clips: list[Clip]) -> dict[str, str]:
    return {clip.path: clip.split for clip in clips}


@pytest.mark.parametrize("rule", SPLITS)
@pytest.mark.parametrize("seed", range(8))
def test_split_rules(rule, seed):
    clips = table(seed)
    split = split_clips(clips, rule, seed=seed)
    assert [dataclasses.replace(c, split="") for c in split] == clips
    assert all(c.split == "test" for c in split if c.label == ANOMALY)
    assert by_name(split_clips(clips[::-1], rule, seed=seed)) == by_name(split)
    sides: dict[str, set[str]] = {}
    for clip, key in zip(split, recording_keys(split), strict=True):
        sides.setdefault(key, set()).add(clip.split)
    assert all(len(side) == 1 for side in sides.values()), "noise versions must stay together"
    for group in {clip.group for clip in clips}:
        assert any(c.split == "train" and c.group == group for c in split)


@pytest.mark.parametrize("seed", range(4))
def test_hitachi_is_the_official_rule(seed):
    split = split_clips(table(seed), "hitachi")
    for key in {(c.group, c.snr) for c in split}:
        ours = [c for c in split if (c.group, c.snr) == key]
        normals = sorted((c for c in ours if c.label == NORMAL), key=lambda c: c.path)
        abnormal = sum(c.label == ANOMALY for c in ours)
        expected = abnormal if abnormal < len(normals) else len(normals) // 2
        splits = [c.split for c in normals]
        assert splits == ["test"] * expected + ["train"] * (len(normals) - expected)


def test_random_split_keeps_the_fraction_and_heeds_the_seed():
    clips = [Clip(f"/d/normal/{k}.wav", "fan", "00", "", 0) for k in range(50)]
    one, two = (split_clips(clips, "random", seed=s) for s in (0, 1))
    assert sum(c.split == "test" for c in one) == 15
    assert by_name(one) != by_name(two)


def test_dcase2020_rule_tests_a_hundred_normals():
    clips = [Clip(f"/d/normal/{k}.wav", "fan", "00", "", 0) for k in range(150)]
    assert sum(c.split == "test" for c in split_clips(clips, "dcase2020")) == 100


def test_a_rule_that_leaves_no_training_clip_is_overruled(caplog):
    clips = [Clip(f"/d/normal/{k}.wav", "fan", "00", "", 0) for k in range(4)]
    clips += [Clip(f"/d/abnormal/{k}.wav", "fan", "00", "", 1) for k in range(9)]
    split = split_clips(clips, "hitachi")
    assert sum(c.split == "train" for c in split) == 2
    assert "fan: split" in caplog.text and "2 of 4" in caplog.text


def test_splits_that_are_given_are_kept():
    clips = [Clip("/d/a.wav", "fan", "00", "test", 0), Clip("/d/b.wav", "fan", "00", "train", 0)]
    assert split_clips(clips, "random") == clips


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("fraction", [0.05, 0.2, 0.9])
def test_hold_out(seed, fraction):
    clips = split_clips(table(seed))
    fit, held = hold_out(clips, fraction, seed)
    assert not set(fit) & set(held)
    normal = {k for k, c in enumerate(clips) if c.split == "train" and c.label == NORMAL}
    assert set(fit) | set(held) == normal
    keys = recording_keys(clips)
    assert not {keys[k] for k in fit} & {keys[k] for k in held}
    for group in {clip.group for clip in clips}:
        recordings = {keys[k] for k in normal if clips[k].group == group}
        ours = {keys[k] for k in held if clips[k].group == group}
        if len(recordings) > 1:
            assert 1 <= len(ours) <= len(recordings) - 1
            least = min(3, len(recordings) // 2)
            assert abs(len(ours) - max(fraction * len(recordings), least)) <= 1
            assert len(ours) >= least


def test_hold_out_goes_by_name_not_by_position_or_place():
    def held(names: list[str], root: str) -> set[str]:
        clips = [Clip(f"{root}/{n}", "fan", "00", "train", 0) for n in names]
        return {names[k] for k in hold_out(clips, 0.3)[1]}

    names = [f"{k:03d}.wav" for k in range(30)]
    before = held(names, "/a/normal")
    assert held(names[::-1], "/somewhere/else") == before
    after = held([*names, "x1.wav", "x2.wav"], "/a/normal")
    assert len(before & after) >= len(before) - 2


def test_hold_out_takes_both_domains():
    clips = [
        Clip(f"/d/{domain}_{k}.wav", "fan", "00", "train", 0, domain=domain)
        for domain, number in (("source", 50), ("target", 5))
        for k in range(number)
    ]
    held = [clips[k].domain for k in hold_out(clips, 0.2)[1]]
    assert held.count("source") == 10 and held.count("target") == 2
    fit, held = hold_out([clips[0], clips[-1]], 0.2)
    assert len(fit) == len(held) == 1


def windows(path: str, number: int) -> list[Clip]:
    fields = {"windowed": True, "seconds": 10.0}
    return [Clip(path, "fan", "00", "train", 0, start=10.0 * k, **fields) for k in range(number)]


def test_hold_out_keeps_windows_together_unless_there_is_one_recording():
    clips = [c for k in range(5) for c in windows(f"/d/{k}.wav", 4)]
    fit, held = hold_out(clips, 0.2)
    assert {clips[k].path for k in held} & {clips[k].path for k in fit} == set()
    assert len(held) == 8
    fit, held = hold_out(windows("/d/one.wav", 10), 0.2)
    assert held.tolist() == [8, 9]


def test_same_names_in_sub_folders_are_different_recordings():
    clips = [Clip(f"/d/{day}/audio.wav", "fan", "00", "train", 0) for day in range(10)]
    fit, held = hold_out(clips, 0.3)
    assert len(held) == 3 and len(fit) == 7
