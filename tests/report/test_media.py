"""Pictures and sound as a browser would read them."""

import base64
import io

import numpy as np
import PIL.Image
import pytest
import soundfile

from asd_jax.report import media, spectrogram


def _bytes(uri, kind):
    head, data = uri.split(",")
    assert head == f"data:{kind};base64"
    return base64.b64decode(data, validate=True)


def test_png_holds_the_indices_and_the_palette():
    indices = np.random.default_rng(0).integers(0, 256, (7, 11)).astype(np.uint8)
    palette = spectrogram.deviation_palette()
    image = PIL.Image.open(io.BytesIO(_bytes(media.png_uri(indices, palette), "image/png")))
    image.load()
    np.testing.assert_array_equal(np.asarray(image.convert("RGBA")), palette[indices])


@pytest.mark.parametrize("samples", [1, 1600, 1601])
def test_wav_sounds_like_the_clip(samples):
    rng = np.random.default_rng(1)
    audio = (500 * rng.normal(size=samples)).astype(np.int16)
    audio[0] = -2000
    data = _bytes(media.wav_uri(audio, 16000), "audio/wav")
    heard, rate = soundfile.read(io.BytesIO(data), dtype="float64")
    assert rate == 16000 and heard.shape == (samples,)
    assert np.abs(heard).max() == pytest.approx(0.9, rel=0.03)
    np.testing.assert_allclose(heard, audio * (0.9 / 2000), atol=0.9 / 2000 + 1e-3, rtol=0.035)


def test_silence_is_no_error():
    data = _bytes(media.wav_uri(np.zeros(100, np.int16), 16000), "audio/wav")
    heard, _ = soundfile.read(io.BytesIO(data))
    assert np.abs(heard).max() < 1e-3
