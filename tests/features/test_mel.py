"""The mel filterbank against librosa's."""

import librosa
import numpy as np
import pytest

from asd_jax.features.mel import banded, hz_to_mel, mel_edges, mel_filterbank, mel_to_hz

SIZES = [
    (16000, 2048, 224, 0.0, 8000.0),
    (16000, 1024, 128, 50.0, 7600.0),
    (22050, 512, 40, 0.0, 11025.0),
]


@pytest.mark.parametrize("scale", ["slaney", "htk"])
@pytest.mark.parametrize("norm", ["slaney", "none"])
@pytest.mark.parametrize(("rate", "n_fft", "n_mels", "fmin", "fmax"), SIZES)
def test_filterbank_equals_librosa(rate, n_fft, n_mels, fmin, fmax, scale, norm):
    ours = mel_filterbank(
        sample_rate=rate, n_fft=n_fft, n_mels=n_mels, fmin=fmin, fmax=fmax, scale=scale, norm=norm
    )
    theirs = librosa.filters.mel(
        sr=rate,
        n_fft=n_fft,
        n_mels=n_mels,
        fmin=fmin,
        fmax=fmax,
        htk=scale == "htk",
        norm=None if norm == "none" else norm,
    )
    np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("scale", ["slaney", "htk"])
def test_mel_scale_equals_librosa_and_inverts(scale):
    hz = np.array([0.0, 10.0, 999.0, 1000.0, 1001.0, 7999.0])
    mel = hz_to_mel(hz, scale=scale)
    np.testing.assert_allclose(mel, librosa.hz_to_mel(hz, htk=scale == "htk"), rtol=1e-12)
    np.testing.assert_allclose(mel_to_hz(mel, scale=scale), hz, atol=1e-9)


def test_edges_equal_librosa():
    ours = mel_edges(n_mels=224, fmin=0.0, fmax=8000.0, scale="slaney")
    np.testing.assert_allclose(ours, librosa.mel_frequencies(226, fmin=0.0, fmax=8000.0))


@pytest.mark.parametrize("size", [1, 7, 16, 100])
def test_bands_hold_every_weight_once(size):
    dense = mel_filterbank(
        sample_rate=16000, n_fft=1024, n_mels=50, fmin=0.0, fmax=8000.0, scale="slaney", norm="none"
    )
    rebuilt = np.zeros_like(dense)
    row = 0
    for band in banded(dense, size=size):
        filters = band.weights.shape[1]
        rebuilt[row : row + filters, band.start : band.stop] = band.weights.T
        row += filters
    assert row == 50
    np.testing.assert_array_equal(rebuilt, dense)
