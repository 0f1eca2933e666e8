"""The statistics branch's views of a clip: five ways to reduce sound over time to a few numbers."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from asd_jax import target
from asd_jax.features.decibel import power_to_db
from asd_jax.features.logmel import mel_power
from asd_jax.features.modulation import EDGES, SHORT_MELS, modulation_spectrum, short_frames
from asd_jax.features.settings import LogMel

VIEWS = ("mean", "power", "quiet", "loud", "rhythm")
WEIGHTS = (1.0, 1.0, 1.0, 0.35, 0.35)
LOUD, QUIET = 0.1, 0.3  # shares of the frames

RHYTHM_BANDS = 4
RHYTHM_FRAMES = 256  # short frames whose levels are transformed together: about two seconds


def clip_views(wave: Float[Array, "batch samples"], *, spec: LogMel) -> Float[Array, "batch dim"]:
    """Five views of how the level of each band behaves over a clip, in the order of `VIEWS`.

    No pooling over time is right for every machine: the mean loses a fault that strikes now and
    then, the loud moments belong to the background where that comes in bursts, the quiet ones to
    none where the machine only strikes, and none of them shows a rhythm that falters. So all are
    taken, and the scorer ('views') adds what each of them finds odd without choosing.

    Args:
        wave: float waveform, see `to_float`.
        spec: of the long frames; the short ones depend on the sample rate alone.

    Returns:
        In dB, side by side, `view_sizes` of each: of long frames the mean level, the level of the
        mean power, and the mean of the quietest `QUIET` share of frames, each band for itself; of
        short frames the mean of the loudest `LOUD` share; and of these the modulation spectrum.
    """
    power, short = mel_power(wave, spec=spec), mel_power(wave, spec=short_frames(spec.sample_rate))
    level = power_to_db(power)
    found = {
        "mean": level.mean(-1),
        "power": power_to_db(power.mean(-1)),
        "quiet": _share(loudest_first(level)[..., ::-1], QUIET),
        "loud": _share(loudest_first(power_to_db(short)), LOUD),
        "rhythm": rhythm(short),
    }
    return jnp.concatenate([found[name] for name in VIEWS], axis=-1)


def view_sizes(dim: int) -> tuple[int, ...]:
    """How many of `dim` numbers each of `VIEWS` has."""
    short = (SHORT_MELS, RHYTHM_BANDS * (len(EDGES) - 1))
    mels = (dim - sum(short)) // 3
    return (mels, mels, mels, *short)


def rhythm(mel: Float[Array, "batch mels frames"]) -> Float[Array, "batch dim"]:
    """How much the level of `RHYTHM_BANDS` broad bands fluctuates, by how often a second.

    Args:
        mel: linear power; `mels` is a multiple of `RHYTHM_BANDS`.

    Returns:
        `modulation_spectrum` of each band, side by side.
    """
    batch, mels, frames = mel.shape
    power = mel.reshape(batch, RHYTHM_BANDS, mels // RHYTHM_BANDS, frames).mean(2)
    return modulation_spectrum(power_to_db(power), frames=RHYTHM_FRAMES).reshape(batch, -1)


def _share(ranked: Float[Array, "batch mels frames"], share: float) -> Float[Array, "batch mels"]:
    """The mean of the first share of frames, of one at least."""
    return ranked[..., : max(1, int(share * ranked.shape[-1]))].mean(-1)


def loudest_first(x: Float[Array, "*batch frames"]) -> Float[Array, "*batch frames"]:
    """The values along the last axis in descending order.

    XLA's sort for a CPU takes one row after another, with a call for each comparison. There a
    bitonic network (Batcher, "Sorting networks and their applications", 1968) exchanges whole
    rows of values at once.
    """
    if target.platform() != "cpu":
        return -jnp.sort(-x, axis=-1)
    frames = x.shape[-1]
    across = _network(_padded(x).reshape(-1, _length(frames)).T)
    return across[:frames].T.reshape(x.shape)


def _length(frames: int) -> int:
    """The next power of two."""
    return 1 << (frames - 1).bit_length()


def _padded(x: Array) -> Array:
    more = _length(x.shape[-1]) - x.shape[-1]
    return jnp.pad(x, [(0, 0)] * (x.ndim - 1) + [(0, more)], constant_values=-jnp.inf)


def _network(x: Float[Array, "ranks rows"]) -> Float[Array, "ranks rows"]:
    """Sorts along the first axis, a power of two long, the largest first."""
    ranks = x.shape[0]
    size = 2
    while size <= ranks:
        # Two sorted runs, the second read backwards, become one: all exchanges point one way.
        halves = x.reshape(ranks // size, 2, size // 2, -1)
        first, second = halves[:, 0], halves[:, 1, ::-1]
        more, less = jnp.maximum(first, second), jnp.minimum(first, second)
        x = jnp.stack([more, less[:, ::-1]], axis=1).reshape(ranks, -1)
        step = size // 4
        while step:
            halves = x.reshape(ranks // (2 * step), 2, step, -1)
            first, second = halves[:, 0], halves[:, 1]
            exchanged = [jnp.maximum(first, second), jnp.minimum(first, second)]
            x = jnp.stack(exchanged, axis=1).reshape(ranks, -1)
            step //= 2
        size *= 2
    return x
