"""The mel filterbank against librosa's."""

import librosa
import numpy as np
import pytest

from asd_jax.features.mel import banded, hz_to_mel, mel_edges, mel_filterbank, mel_to_hz

SIZES = [(16000, 2048, 224), (16000, 1024, 128), (22050, 512, 40)]


@pytest.mark.parametrize(("rate", "n_fft", "n_mels"), SIZES)
def test_filterbank_equals_librosa(rate, n_fft, n_mels):
    ours = mel_filterbank(sample_rate=rate, n_fft=n_fft, n_mels=n_mels)
    theirs = librosa.filters.mel(sr=rate, n_fft=n_fft, n_mels=n_mels)
    np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-7)


def test_mel_scale_equals_librosa_and_inverts():
    hz = np.array([0.0, 10.0, 999.0, 1000.0, 1001.0, 7999.0])
    mel = hz_to_mel(hz)
    np.testing.assert_allclose(mel, librosa.hz_to_mel(hz), rtol=1e-12)
    np.testing.assert_allclose(mel_to_hz(mel), hz, atol=1e-9)


def test_edges_equal_librosa():
    ours = mel_edges(sample_rate=16000, n_mels=224)
    np.testing.assert_allclose(ours, librosa.mel_frequencies(226, fmin=0.0, fmax=8000.0))


@pytest.mark.parametrize("size", [1, 7, 16, 100])
def test_bands_hold_every_weight_once(size):
    dense = mel_filterbank(sample_rate=16000, n_fft=1024, n_mels=50)
    rebuilt = np.zeros_like(dense)
    row = 0
    for band in banded(dense, size=size):
        filters = band.weights.shape[1]
        rebuilt[row : row + filters, band.start : band.stop] = band.weights.T
        row += filters
    assert row == 50
    np.testing.assert_array_equal(rebuilt, dense)
