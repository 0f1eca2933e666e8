"""Pictures against librosa and matplotlib, and against pixels counted one by one."""

import dataclasses
import typing

import jax.numpy as jnp
import librosa
import librosa.display
import matplotlib
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from asd_jax.bounds import kinds
from asd_jax.errors import UserError
from asd_jax.features import pictures
from asd_jax.features.pictures import picture
from asd_jax.features.settings import Picture

SIZE = 32
KINDS = typing.get_args(kinds(Picture)["kind"])


@pytest.fixture(scope="module")
def waves():
    rng = np.random.default_rng(0)
    time = np.arange(16000) / 16000
    tones = 0.3 * np.sin(2 * np.pi * np.array([[440.0], [1700.0]]) * time)
    return (tones + 0.01 * rng.normal(size=(2, 16000))).astype(np.float32)


def reference_levels(wave, spec):
    """dB levels by librosa, never cut."""
    n_fft, hop = spec.frame
    power = np.abs(librosa.stft(wave, n_fft=n_fft, hop_length=hop)) ** 2
    if spec.kind == "mel":
        power = librosa.feature.melspectrogram(S=power, sr=16000, n_mels=spec.n_mels)
    return librosa.power_to_db(power, ref=1.0, amin=1e-10, top_db=None)


@pytest.mark.parametrize("kind", KINDS)
def test_levels_equal_librosa(waves, kind):
    spec = Picture(kind)
    ours = np.asarray(pictures.levels(jnp.asarray(waves), spec=spec))
    for wave, level in zip(waves, ours, strict=True):
        np.testing.assert_allclose(level, reference_levels(wave, spec), atol=2e-2)


@pytest.mark.parametrize("kind", ["spectrogram", "mel", "linear_frequency"])
def test_a_picture_is_the_mean_over_each_pixel(waves, kind):
    spec = Picture(kind, SIZE, top_db=60.0)
    ours = np.asarray(picture(jnp.asarray(waves), spec=spec))
    level = reference_levels(waves[0], spec)
    level = np.maximum(level, level.max() - 60.0)
    unit = (level - level.min()) / (level.max() - level.min())
    # Each cell cut into `SIZE` equal parts: pixels are then whole numbers of parts.
    fine = np.repeat(np.repeat(unit, SIZE, 0), SIZE, 1)
    rows, columns = unit.shape
    expected = fine.reshape(SIZE, rows, SIZE, columns).mean((1, 3))[::-1]
    assert ours.shape == (2, SIZE, SIZE, 3)
    np.testing.assert_allclose(ours[0, ..., 0], 2 * expected - 1, atol=1e-3)
    np.testing.assert_array_equal(ours[..., 0], ours[..., 2])


def test_the_log_axis_is_that_of_specshow():
    figure = Figure()
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    librosa.display.specshow(np.zeros((1025, 4)), sr=16000, y_axis="log", ax=axes)
    transform = axes.yaxis.get_transform()
    hz = pictures.log_axis_hz(np.linspace(0, 1, 50), top=8000.0)
    height = transform.transform(hz) / transform.transform(np.array([8000.0]))
    np.testing.assert_allclose(height, np.linspace(0, 1, 50), atol=1e-9)


def test_a_tone_lies_in_its_row_of_the_log_axis():
    time = np.arange(16000) / 16000
    for hz in (100.0, 440.0, 3000.0):
        wave = jnp.asarray(np.sin(2 * np.pi * hz * time), jnp.float32)[None]
        image = np.asarray(picture(wave, spec=Picture("log_frequency", 64)))[0, :, 32, 0]
        edges = pictures.log_axis_hz(np.linspace(0, 1, 65), top=8000.0)[::-1]
        row = int(image.argmax())
        half_bin = 16000 / 2048
        assert edges[row + 1] - half_bin <= hz <= edges[row] + half_bin


@pytest.mark.parametrize("kind", KINDS)
def test_rows_share_out_the_whole_height(kind):
    bins = 128 if kind == "mel" else Picture(kind).frame[0] // 2 + 1
    weights = pictures.row_weights(bins, Picture(kind))
    np.testing.assert_allclose(weights.sum(1), 1.0, atol=1e-5)
    assert (weights >= 0).all() and weights.any(0).all()


def test_colours_equal_matplotlib():
    level = np.linspace(0, 1, 1001, dtype=np.float32)
    expected = matplotlib.colormaps["magma"](level)[:, :3]
    np.testing.assert_allclose(pictures.magma(jnp.asarray(level)), expected, atol=1e-6)


def test_a_rendered_picture_has_colours(waves):
    image = np.asarray(picture(jnp.asarray(waves), spec=Picture("mel", SIZE, "magma")))
    assert image.min() >= -1 and image.max() <= 1
    assert np.abs(image[..., 0] - image[..., 2]).max() > 0.3


def test_clips_do_not_touch_each_other_and_silence_is_black(waves):
    both = jnp.asarray(np.stack([waves[0], np.zeros_like(waves[0])]))
    spec = Picture(size=SIZE)
    np.testing.assert_allclose(
        picture(both, spec=spec)[0], picture(both[:1], spec=spec)[0], atol=1e-5
    )
    assert (np.asarray(picture(both, spec=spec)[1]) == -1.0).all()


def test_gain_changes_nothing(waves):
    spec = Picture(size=SIZE)
    loud, soft = (picture(jnp.asarray(g * waves), spec=spec) for g in (1.0, 0.5))
    np.testing.assert_allclose(loud, soft, atol=2e-3)


def test_with_librosas_frames_both_linear_pictures_are_one(waves):
    wave = jnp.asarray(waves)
    one = picture(wave, spec=Picture("spectrogram", SIZE, n_fft=2048, hop_length=512))
    np.testing.assert_array_equal(one, picture(wave, spec=Picture("linear_frequency", SIZE)))


@pytest.mark.parametrize("change", [{"kind": "cqt"}, {"render": "jet"}, {"n_fft": 255}])
def test_a_wrong_field_is_named(change):
    with pytest.raises(UserError, match=f"Picture.{next(iter(change))}"):
        Picture(**change)


def test_the_scale_of_levels_keeps_how_loud_a_clip_is(waves):
    """The same picture in dB, 100 dB to a unit half; by the clip a quieter copy looks alike."""
    loud, quiet = jnp.asarray(waves), jnp.asarray(0.1 * waves)
    spec = Picture("mel", size=SIZE, n_mels=SIZE, n_fft=1024, normalise="per_bin")
    first, second = picture(loud, spec=spec), picture(quiet, spec=spec)
    np.testing.assert_allclose(first - second, 2 * 20 / 100, atol=1e-3)
    level = pictures.levels(loud, spec=spec).mean((1, 2))
    np.testing.assert_allclose(first.mean((1, 2, 3)), 1 + 2 * level / 100, atol=1e-3)
    clip = dataclasses.replace(spec, normalise="per_clip")
    np.testing.assert_allclose(picture(loud, spec=clip), picture(quiet, spec=clip), atol=1e-3)


def test_an_unknown_normalisation_is_refused():
    with pytest.raises(UserError, match=r"Picture\.normalise is 'loud'"):
        Picture(normalise="loud")
