"""Waveform transformations: what they do to tones, levels and neighbours."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from asd_jax import target
from asd_jax.augment.waveform import (
    TRANSFORMS,
    WaveformAugment,
    augment_waveform,
    change_speed,
    fade,
    pitch_shift,
    time_shift,
    white_noise,
)
from asd_jax.bounds import traced
from asd_jax.errors import UserError

RATE = 16000


def sinusoid(hz: float, samples: int = RATE) -> np.ndarray:
    return np.sin(2 * np.pi * hz * np.arange(samples) / RATE).astype(np.float32)


def noise(samples: int = 4000, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=samples).astype(np.float32)


def keys(count: int) -> jax.Array:
    return jax.random.split(jax.random.key(3), count)


def over_keys(transform, x: np.ndarray, count: int = 200, **options) -> np.ndarray:
    """The same clip under many keys, `[count, samples]`."""
    one = functools.partial(transform, **options)
    return np.asarray(jax.jit(jax.vmap(one, in_axes=(0, None)))(keys(count), jnp.asarray(x)))


jitted_change_speed = jax.jit(change_speed)
jitted_pitch_shift = jax.jit(pitch_shift)


@pytest.fixture(scope="module")
def fade_gains() -> np.ndarray:
    """What 200 fades do to a constant."""
    return over_keys(fade, np.ones(1000, np.float32))


def loudest_hz(x: np.ndarray) -> float:
    spectrum = np.abs(np.fft.rfft(x * np.hanning(len(x)), n=8 * len(x)))
    return spectrum.argmax() * RATE / (8 * len(x))


# --- time shift ------------------------------------------------------------------------------


def test_time_shift_rolls_both_ways_within_its_range():
    x = noise()
    shifted = over_keys(time_shift, x, max_frames=2.0, hop_length=100)
    # The peak of the circular correlation tells by how much each one was rolled.
    correlation = np.fft.irfft(np.fft.rfft(shifted) * np.conj(np.fft.rfft(x)), n=len(x))
    shifts = (correlation.argmax(axis=1) + 2000) % 4000 - 2000
    for row, shift in zip(shifted[:20], shifts[:20], strict=True):
        np.testing.assert_array_equal(row, np.roll(x, shift))
    assert shifts.min() < -150 and shifts.max() > 150 and np.abs(shifts).max() <= 200


# --- pitch shift -----------------------------------------------------------------------------


@pytest.mark.parametrize("semitones", [-20.0, 0.0, 3.5])
def test_pitch_shift_moves_a_sinusoid_by_its_ratio(semitones):
    shifted = jitted_pitch_shift(
        jax.random.key(0), sinusoid(1000.0), semitones=(semitones, semitones)
    )
    assert shifted.shape == (RATE,)
    assert loudest_hz(np.asarray(shifted)) == pytest.approx(1000 * 2 ** (semitones / 12), rel=5e-4)


@pytest.mark.parametrize("speed", [0.315, 0.9, 1.0, 1.19])
@pytest.mark.parametrize("hz", [300.0, 4000.0])
def test_change_speed_equals_the_continuous_sinusoid(speed, hz):
    # Up to 4 kHz everything but the wanted tone stays below -40 dB, to the very last sample.
    samples = 160000
    y = np.asarray(jitted_change_speed(jnp.asarray(sinusoid(hz, samples)), jnp.float32(speed)))
    exact = np.sin(2 * np.pi * hz * np.float32(speed).astype(float) * np.arange(samples) / RATE)
    assert np.sqrt(np.mean((y - exact) ** 2) / np.mean(exact**2)) < 0.01


def test_change_speed_does_not_alias():
    # 7 kHz at 1.26 times the pace would lie at 8.8 kHz and fold back to 7.2 kHz.
    y = np.asarray(jitted_change_speed(jnp.asarray(sinusoid(7000.0)), 1.26))
    assert np.sqrt(np.mean(y**2)) < 0.01


@pytest.mark.parametrize("samples", [4000, 4001])
def test_change_speed_at_pace_1_changes_nothing(samples):
    x = np.asarray(sinusoid(500.0, samples))
    np.testing.assert_allclose(jitted_change_speed(jnp.asarray(x), 1.0), x, atol=1e-3)


# --- fade ------------------------------------------------------------------------------------


def test_fades_lie_at_either_end_or_both(fade_gains):
    gains = fade_gains
    assert (gains >= 0).all() and (gains <= 1 + 1e-6).all()
    # No gain of its own anywhere between the fades: the middle stays as it is.
    np.testing.assert_allclose(gains[:, 499:501], 1.0, atol=0.02)
    has_in, has_out = gains[:, 0] < 0.5, gains[:, -1] < 0.5
    assert (has_in | has_out).mean() > 0.95
    for kind in (has_in & ~has_out, ~has_in & has_out, has_in & has_out):
        assert kind.mean() > 0.2
    assert (np.diff(gains[:, :500], axis=1) >= -1e-6).all()


def test_fade_shapes_equal_their_formulas(fade_gains):
    shapes = {"half sine": 0, "exponential": 0}
    for gain in fade_gains[fade_gains[:, 0] < 0.05]:
        length = int((gain[:500] < 1 - 1e-6).sum())
        u = (np.arange(length) + 1.0) / (length + 0.5)
        formulas = {"half sine": 0.5 - 0.5 * np.cos(np.pi * u), "exponential": u * 2 ** (u - 1)}
        error = {name: np.abs(gain[:length] - f).max() for name, f in formulas.items()}
        nearest = min(error, key=error.get)
        assert error[nearest] < 0.05 + 2.0 / length
        shapes[nearest] += 1
    assert min(shapes.values()) > 10


# --- white noise -----------------------------------------------------------------------------


@pytest.mark.parametrize("snr", [-10.0, 10.0])
def test_white_noise_has_its_ratio_and_is_white(snr):
    x = 0.01 * sinusoid(440.0)
    added = over_keys(white_noise, x, count=20, snr_db=(snr, snr)) - x
    measured = 10 * np.log10(np.mean(x**2) / np.mean(added**2, axis=1))
    np.testing.assert_allclose(measured, snr, atol=0.2)
    spectrum = np.square(np.abs(np.fft.rfft(added))).mean(axis=0)
    quarters = [part.mean() for part in np.array_split(spectrum, 4)]
    np.testing.assert_allclose(quarters, np.mean(quarters), rtol=0.1)


def test_white_noise_draws_its_ratio_and_leaves_silence_silent():
    x = noise()
    added = over_keys(white_noise, x) - x
    measured = 10 * np.log10(np.mean(x**2) / np.mean(added**2, axis=1))
    assert -10.5 < measured.min() < -8 and 8 < measured.max() < 10.5
    assert not over_keys(white_noise, np.zeros(100, np.float32), count=3).any()


def test_a_batch_gets_the_noise_that_each_clip_would_get_alone():
    waves = jnp.stack([jnp.asarray(noise(1000, seed)) for seed in range(6)])
    batch = jax.jit(jax.vmap(white_noise))
    want = np.stack([white_noise(k, x) for k, x in zip(keys(6), waves, strict=True)])
    np.testing.assert_allclose(batch(keys(6), waves), want, atol=1e-5)
    runs = jax.jit(jax.vmap(jax.vmap(white_noise)))  # side by side
    found = runs(keys(6).reshape(2, 3), waves.reshape(2, 3, -1)).reshape(6, -1)
    np.testing.assert_allclose(found, want, atol=1e-5)
    grown = jax.jit(
        jax.value_and_grad(lambda g: jnp.sum(g * jax.vmap(white_noise)(keys(6), waves)))
    )
    np.testing.assert_allclose(grown(2.0)[1], want.sum(), atol=1e-2)


@pytest.mark.parametrize(("platform", "shape"), [("cpu", "1000xf32"), ("gpu", "6x1000xf32")])
def test_a_cpu_draws_noise_clip_by_clip(platform, shape):
    with target.compiling_for(platform):
        text = jax.jit(jax.vmap(white_noise)).lower(keys(6), jnp.ones((6, 1000))).as_text()
    drawn = [line for line in text.splitlines() if "erf_inv" in line]
    assert drawn and all(f"tensor<{shape}>" in line for line in drawn)


# --- all together ----------------------------------------------------------------------------


def augment_all(settings: WaveformAugment):
    return jax.jit(jax.vmap(functools.partial(augment_waveform, settings=settings, hop_length=512)))


def test_a_clip_does_not_depend_on_its_neighbours():
    batch = np.stack([noise(seed=seed) for seed in range(4)])
    augment = augment_all(WaveformAugment(tuple(TRANSFORMS), 0.5))
    before = augment(keys(4), jnp.asarray(batch))
    batch[[0, 1, 3]] *= 100.0
    after = augment(keys(4), jnp.asarray(batch))
    np.testing.assert_array_equal(before[2], after[2])
    assert not np.array_equal(before[0], after[0])


@pytest.mark.parametrize("name", list(TRANSFORMS))
def test_each_is_applied_with_its_probability(name):
    x = jnp.asarray(noise(1000))

    def one(key, chance):  # traced, as runs that differ in it trace it
        settings = traced(WaveformAugment((name,), shift_frames=56.0), probability=chance)
        return augment_waveform(key, x, settings=settings, hop_length=512)

    many = jax.jit(lambda chance: jax.vmap(lambda key: one(key, chance))(keys(200)))
    for probability, low, high in [(0.0, 0, 0), (0.5, 70, 130), (1.0, 200, 200)]:
        assert low <= (many(probability) != x).any(axis=1).sum() <= high


def test_the_probability_of_the_settings_counts_too():
    x = jnp.asarray(noise(1000))[None]
    for probability, changes in [(0.0, False), (1.0, True)]:
        settings = WaveformAugment(transforms=("time_shift",), probability=probability)
        assert bool((augment_all(settings)(keys(1), x) != x).any()) is changes


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"transforms": ("reverb",)}, "transforms"),
        ({"probability": 1.5}, "probability"),
        ({"fade_share": 0.7}, "fade_share"),
        ({"semitones": (4.0, -4.0)}, "semitones"),
        ({"snr_db": (10.0, -10.0)}, "snr_db"),
    ],
)
def test_impossible_settings_are_named(options, word):
    with pytest.raises(UserError, match=word):
        WaveformAugment(**options)
