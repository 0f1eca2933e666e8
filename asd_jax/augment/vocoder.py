"""A pitch shift that keeps the tempo: a phase vocoder of fixed shapes, for any traced ratio.

Flanagan and Golden (1966); Laroche and Dolson, "Improved phase vocoder time-scale modification of
audio" (1999), section II, without their phase locking.
"""

import functools
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike
from jaxtyping import Float

FRAME = 2048  # samples of a frame of the result
HOP = FRAME // 16  # a short one: at low ratios frames of the source are a few hops long
AT_A_TIME = 8  # clips of a batch: the frames of one of 10 s, resampled, take 40 MB


@jax.custom_batching.custom_vmap
def change_pitch(x: Float[Array, "samples"], ratio: ArrayLike) -> Float[Array, "samples"]:
    """Multiplies every frequency by `ratio`, and leaves each sound where it is in time.

    The textbook's way is to stretch the clip by `ratio` and to play it as much faster. Here each
    frame is played faster by itself, and both hops are the same: so no shape depends on the ratio.
    A frame of the source is `ratio` times as long as one of the result, but at most `FRAME`. From
    one frame to the next a component's phase advances by `ratio` times what it does in the source.

    Args:
        x: float waveform, taken as a loop.
        ratio: above 0; may be traced. 0.25 to 4 is what the frames are made for.
    """
    return _changed(x, ratio)


@change_pitch.def_vmap
def _by_parts(size: int, batched: list[bool], x: Array, ratio: Any) -> tuple[Array, bool]:
    """A batch a few clips at a time."""
    x = x if batched[0] else jnp.broadcast_to(x, (size, *jnp.shape(x)))
    ratio = ratio if batched[1] else jnp.broadcast_to(ratio, (size,))
    return jax.lax.map(lambda clip: _changed(*clip), (x, ratio), batch_size=AT_A_TIME), True


def _changed(x: Float[Array, "samples"], ratio: ArrayLike) -> Float[Array, "samples"]:
    hops = -(-x.size // HOP)
    offsets = np.arange(FRAME) - FRAME // 2
    index = (np.arange(hops)[:, None] * HOP + offsets) % x.size
    ratio = jnp.asarray(ratio, jnp.float32)
    length = FRAME * jnp.minimum(ratio, 1.0)  # of a frame of the source
    places = jnp.asarray(offsets)
    window = _hann(places / length)
    # The frame's middle comes first, so that its phases are those at the middle.
    frames = jnp.roll(x[index] * window, -FRAME // 2, axis=1)
    spectrum = jnp.fft.rfft(frames)
    grains = _played(_with_phases(spectrum, ratio), ratio)
    kept = _hann(places / (length / ratio))
    scale = jnp.sum(_hann(places * ratio / length) * kept) / HOP
    return _overlapped(grains * kept)[: x.size] / scale


def _hann(position: Array) -> Array:
    """The window of unit length about 0."""
    inside = jnp.abs(position) < 0.5
    return jnp.where(inside, 0.5 + 0.5 * jnp.cos(2.0 * math.pi * position), 0.0)


def _with_phases(spectrum: Array, ratio: Array) -> Array:
    """The frames' spectra with phases that advance `ratio` times as fast."""
    phase = jnp.angle(spectrum)
    expected = 2.0 * math.pi * ((np.arange(spectrum.shape[1]) * HOP / FRAME) % 1.0)
    turns = np.arange(spectrum.shape[1]) * HOP // FRAME  # whole ones, that `expected` leaves out
    off = _wrapped(jnp.diff(phase, axis=0) - expected)
    # Of ratio times the whole advance only the part beyond whole turns counts; wrapped before they
    # are summed, the phases keep float32's precision over a long clip.
    advance = _wrapped(ratio * (expected + off) + 2.0 * math.pi * ((ratio * turns) % 1.0))
    summed = jnp.concatenate([phase[:1], phase[:1] + jnp.cumsum(advance, axis=0)])
    return jnp.abs(spectrum) * jnp.exp(1j * summed)


def _wrapped(angle: Array) -> Array:
    """The angle in [-pi, pi)."""
    return (angle + math.pi) % (2.0 * math.pi) - math.pi


def _played(spectrum: Array, ratio: Array) -> Float[Array, "hops frame"]:
    """Each frame read `ratio` times as fast about its middle, without aliasing.

    Sampled four times as densely by its spectrum, then read along straight lines: what they are
    off by is less than a phase vocoder smears.
    """
    bins = jnp.arange(spectrum.shape[1])
    spectrum = jnp.where(bins * jnp.maximum(ratio, 1.0) < FRAME / 2, spectrum, 0.0)
    dense = 4.0 * jnp.fft.irfft(spectrum, n=4 * FRAME, axis=1)
    dense = jnp.roll(dense, 2 * FRAME, axis=1)  # the middle back into the middle
    place = 2 * FRAME + 4.0 * ratio * (jnp.arange(FRAME) - FRAME // 2)
    place = jnp.clip(place, 0.0, 4.0 * FRAME - 2.0)
    whole = jnp.floor(place).astype(jnp.int32)
    share = place - whole
    return dense[:, whole] * (1.0 - share) + dense[:, whole + 1] * share


def _overlapped(frames: Float[Array, "hops frame"]) -> Float[Array, "samples"]:
    """Frames about multiples of the hop added up in a loop."""
    parts = FRAME // HOP
    blocks = frames.reshape(frames.shape[0], parts, HOP)
    shift = parts // 2
    rolled = (jnp.roll(blocks[:, k], k - shift, axis=0) for k in range(parts))
    return functools.reduce(jnp.add, rolled).reshape(-1)
