"""Whatever the recordings: none on both sides, none lost, names read as they are written."""

import dataclasses
import pathlib
import tempfile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asd_jax.data.clips import read_clips
from asd_jax.data.layouts.dcase import read_dcase
from asd_jax.data.layouts.files import Wanted
from asd_jax.data.splits import SPLITS, hold_out, split_clips
from asd_jax.data.supervised import split_supervised
from asd_jax.data.table import ANOMALY, NORMAL, UNKNOWN, Clip, recording_keys
from asd_jax.errors import UserError

LABELS = st.sampled_from([NORMAL, NORMAL, NORMAL, ANOMALY, UNKNOWN])


OPEN = st.just("")


@st.composite
def tables(draw, split=OPEN):
    """Clips of a few machines, some at several noise levels, some as several windows."""
    clips = []
    for number in range(draw(st.integers(1, 25))):
        kind, machine = draw(st.sampled_from("ab")), draw(st.sampled_from(["00", "02"]))
        label, side = draw(LABELS), draw(split)
        for snr in draw(st.sampled_from([("",), ("6",), ("6", "0", "-6")])):
            path = f"/data/{snr}/{kind}/{machine}/{label}/{number}.wav"
            for window in range(draw(st.integers(1, 3))):
                clips.append(
                    Clip(
                        path,
                        kind,
                        machine,
                        side,
                        label,
                        snr=snr,
                        start=float(window),
                        windowed=True,
                        seconds=1.0,
                    )
                )
    return clips


SEEDS = st.integers(0, 5)
SHARES = st.floats(0.01, 0.99)


@given(tables(), st.sampled_from(sorted(SPLITS)), SEEDS)
def test_a_split_gives_every_clip_one_side_and_no_recording_two(clips, rule, seed):
    parted = split_clips(clips, rule, seed=seed)
    assert [dataclasses.replace(clip, split="") for clip in parted] == clips
    assert {clip.split for clip in parted} <= {"train", "test"}
    assert all(clip.split == "test" for clip in parted if clip.label == ANOMALY)
    for group in {(*clip.group, clip.snr) for clip in parted}:
        own = [clip for clip in parted if (*clip.group, clip.snr) == group]
        normal = [clip for clip in own if clip.label == NORMAL]
        sides = {(clip.path, clip.split) for clip in normal}
        if len({clip.path for clip in normal}) > 1:
            assert len(sides) == len({path for path, _ in sides})
        assert not normal or any(clip.split == "train" for clip in normal)


@given(tables(st.sampled_from(["train", "train", "test"])), SHARES, SEEDS)
def test_what_is_held_out_is_never_fitted(clips, share, seed):
    fit, held = hold_out(clips, share, seed)
    keys = recording_keys(clips)
    train = [k for k, c in enumerate(clips) if c.split == "train" and c.label == NORMAL]
    assert sorted([*fit, *held]) == train
    for group in {clips[k].group for k in train}:
        own = {keys[k] for k in train if clips[k].group == group}
        if len(own) > 1:
            assert not {keys[k] for k in fit} & {keys[k] for k in held} & own


@given(tables(), st.sampled_from(["group_clip", "leave_one_id_out"]), SEEDS)
def test_a_supervised_split_never_leaks(clips, rule, seed):
    try:
        parts = split_supervised(clips, rule, seed=seed)
    except UserError:
        return
    keys = recording_keys(clips)
    sides = [{keys[k] for k in side} for side in (parts.train, parts.validation, parts.test)]
    assert not sides[0] & sides[1] and not sides[2] & (sides[0] | sides[1])
    assert all(clips[k].label != UNKNOWN for k in np.concatenate([parts.train, parts.test]))


NUMBERS = st.integers(0, 99).map("{:02d}".format)
DOMAINS = st.sampled_from(["source", "target"])
WORDS = st.text("abcXYZ019-", min_size=1, max_size=8)


@given(WORDS, NUMBERS, DOMAINS, st.sampled_from(["normal", "anomaly"]), st.integers(0, 9999), WORDS)
def test_a_name_that_was_written_is_read_back(machine, section, domain, label, number, more):
    split = "train" if label == "normal" else "test"
    name = f"section_{section}_{domain}_{split}_{label}_{number:04d}_{more}.wav"
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, machine, split, name)
        path.parent.mkdir(parents=True)
        path.write_bytes(b"")
        (clip,) = read_dcase("dcase2022", pathlib.Path(folder), Wanted(use_additional=True))
    assert (clip.machine_type, clip.machine_id, clip.split) == (machine, section, split)
    assert (clip.domain, clip.attributes) == (domain, more)
    assert clip.label == {"normal": NORMAL, "anomaly": ANOMALY}[label]


LAYOUTS = ("mimii", "dcase2020", "dcase2022", "mimii_due", "folder")
PARTS = st.text(st.characters(exclude_characters="/\0"), min_size=1, max_size=20)
TELLING = st.sampled_from(["normal", "abnormal", "id_00", "train", "test", "-6_dB_fan", "fan"])


@pytest.mark.parametrize("layout", LAYOUTS)
@given(st.lists(st.lists(st.one_of(PARTS, TELLING), min_size=1, max_size=4), max_size=4))
def test_whatever_files_are_called_there_are_clips_or_a_sentence(layout, names):
    with tempfile.TemporaryDirectory() as folder:
        for parts in names:
            path = pathlib.Path(folder, *[p for p in parts if p.strip(".")][:-1] or ["x"])
            try:
                path.mkdir(parents=True, exist_ok=True)
                (path / f"{parts[-1]}.wav").write_bytes(b"")
            except (OSError, ValueError):  # no name for this disk
                continue
        try:
            for clip in read_clips(layout, folder):
                assert clip.split in ("train", "test") and pathlib.Path(clip.path).is_file()
        except UserError as error:
            assert str(error)
