"""Where a clip departs from normal, and how that is said."""

import base64
import io
import re

import numpy as np
import PIL.Image
import pytest

from asd_jax.report import spectrogram, why
from asd_jax.report.region import Region, find_region
from tests.report.machines import make_example, make_rows

ROW = make_rows()[0]


def test_the_region_is_the_burst():
    region = find_region(make_example(ROW).deviation)
    assert abs(region.mels[0] - 10) <= 1 and abs(region.mels[1] - 15) <= 1
    assert abs(region.frames[0] - 20) <= 1 and abs(region.frames[1] - 30) <= 1
    assert region.mean > 8


@pytest.mark.parametrize("normal", [True, False])
@pytest.mark.parametrize("sign", [1, -1])
def test_the_sentence_names_time_pitch_and_size(normal, sign):
    example = make_example(ROW)
    level = sign * example.deviation
    change = {"deviation": level, "spectrogram": level + example.normal_db[:, None]}
    example = make_example(ROW, **change, **({} if normal else {"normal_db": None}))
    region = Region((10, 15), (20, 30), float(level[10:15, 20:30].mean()))
    sentence = why.describe(example, region)
    edges = 100 + 7800 / 31 * np.array([9.5, 14.5])
    assert f"{edges[0] / 1000:.1f}–{edges[1] / 1000:.1f} kHz" in sentence
    assert "1.9–2.9 s" in sentence or "2.0–3.0 s" in sentence  # 1.95 to 2.95
    assert ("louder" if sign > 0 else "quieter") in sentence
    assert ("12 dB" in sentence) == normal


@pytest.mark.parametrize("draw", [spectrogram.sound_panel, spectrogram.deviation_panel])
def test_low_pitch_is_at_the_bottom_and_the_frame_is_around_the_burst(draw):
    deviation = np.zeros((32, 63))
    deviation[10:15, 20:30] = 6.0
    example = make_example(ROW, deviation=deviation, spectrogram=deviation)
    svg = str(draw(example, Region((10, 15), (20, 30), 6.0)))
    uri = re.search(r'href="data:image/png;base64,([^"]*)"', svg).group(1)
    image = PIL.Image.open(io.BytesIO(base64.b64decode(uri)))
    shown = np.asarray(image).astype(float)  # palette numbers
    height, width = shown.shape
    loud = np.argwhere(shown > 200)
    assert loud.min(axis=0).tolist() == [32 - 15, 20]
    assert loud.max(axis=0).tolist() == [32 - 1 - 10, 29]
    box = re.search(r'class="box" d="M([\d.]+) ([\d.]+)H([\d.]+)V([\d.]+)', svg).groups()
    left, top, right, bottom = map(float, box)
    x, y, w, h = (
        float(re.search(rf'<image [^>]*\b{name}="([\d.]+)"', svg).group(1))
        for name in ("x", "y", "width", "height")
    )
    assert left == pytest.approx(x + w * 20 / width - 4, abs=1.0)
    assert right == pytest.approx(x + w * 30 / width + 4, abs=1.0)
    assert top == pytest.approx(y + h * (32 - 15) / height - 4, abs=1.0)
    assert bottom == pytest.approx(y + h * (32 - 10) / height + 4, abs=1.0)


def test_a_tone_through_the_whole_clip_is_called_so():
    deviation = np.zeros((32, 63))
    deviation[20:23] = 5.0
    example = make_example(ROW, deviation=deviation)
    region = find_region(deviation)
    assert region.frames == (0, 63)
    assert "through the whole clip" in why.describe(example, region)


@pytest.mark.parametrize(
    ("mels", "frames"), [((60, 61), (0, 300)), ((0, 200), (100, 102)), ((60, 61), (150, 300))]
)
@pytest.mark.parametrize("sign", [1, -1])
def test_thin_tones_and_short_bangs_are_found_in_noise(mels, frames, sign):
    deviation = np.random.default_rng(0).normal(size=(200, 300))
    deviation[slice(*mels), slice(*frames)] += 3.5 * sign
    region = find_region(deviation)
    assert np.sign(region.mean) == sign
    assert abs(region.mels[0] - mels[0]) <= 1 and abs(region.mels[1] - mels[1]) <= 1
    assert abs(region.frames[0] - frames[0]) <= 31 and abs(region.frames[1] - frames[1]) <= 31


def test_noise_is_no_deviation():
    assert find_region(np.random.default_rng(0).normal(size=(224, 313))) is None


def test_a_single_loud_bin_is_no_deviation():
    deviation = np.zeros((32, 63))
    deviation[4, 4] = 30.0
    assert find_region(deviation) is None
    sentence = why.describe(make_example(ROW, deviation=deviation), None)
    assert "No single spot" in sentence


@pytest.mark.parametrize("shape", [(1, 1), (32, 1), (1, 63), (3, 2)])
@pytest.mark.parametrize("value", [np.nan, np.inf, 0.0, 9.0])
def test_strange_pictures_are_drawn(shape, value):
    example = make_example(
        ROW,
        spectrogram=np.full(shape, value),
        deviation=np.full(shape, value),
        mel_frequencies=np.linspace(100.0, 8000.0, shape[0]),
        frame_times=np.arange(shape[1]) * 0.1,
        normal_db=np.zeros(shape[0]),
    )
    region = find_region(example.deviation)
    for svg in (
        spectrogram.sound_panel(example, region),
        spectrogram.deviation_panel(example, region),
    ):
        assert "data:image/png;base64," in svg and "nan" not in svg.split("base64,")[1][-900:]
    assert why.describe(example, region)


@pytest.mark.parametrize(
    ("mels", "frames", "kind"),
    [
        ((0, 32), (0, 63), "another level, through the whole clip, at all pitches"),
        ((10, 15), (20, 22), "a short sound, 2.0–2.2 s"),
        ((20, 22), (0, 63), "a tone, through the whole clip"),
        ((0, 1), (0, 63), "a hum, through the whole clip"),
        ((5, 20), (0, 63), "a band of noise, through the whole clip"),
    ],
)
def test_a_region_is_called_what_it_sounds_like(mels, frames, kind):
    region = Region(mels, frames, 5.0)
    assert kind in why.describe(make_example(ROW), region)


@pytest.mark.parametrize(
    ("frames", "kind"), [((20, 22), "a short gap, 2.0–2.2 s"), ((0, 63), "a band, through the")]
)
def test_what_is_missing_is_called_no_sound(frames, kind):
    quiet = make_example(ROW, normal_db=np.full(32, 99.0))
    told = why.describe(quiet, Region((5, 20), frames, -5.0))
    assert kind in told and "quieter than normal" in told


def test_where_no_spot_stands_out_the_averages_speak():
    normal = np.linspace(-30.0, -60.0, 32)
    level = np.repeat(normal[:, None], 63, axis=1)
    level[16:24] += 4.0
    example = make_example(ROW, spectrogram=level, normal_db=normal)
    told = why.describe(example, None)
    assert "4 dB louder than normal at" in told and "1 dB louder over all pitches" in told
    assert "or not at all" in why.describe(
        make_example(ROW, spectrogram=level, normal_db=level.mean(1)), None
    )
