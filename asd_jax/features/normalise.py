"""Normalisation of features, fitted on normal training clips alone.

The paper does not say how it normalises. Offered: every mel bin by its own mean and spread
(`per_bin`, the default), every clip by its own (`per_clip`), a whitening of the mel axis that lifts
directions of small variance, where faults tend to sit (`whiten`), and `none`.
"""

import functools
from collections.abc import Iterable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Bool, Float

from asd_jax.errors import UserError
from asd_jax.features.settings import Normalisation

CLIP_FLOOR_DB = 0.1  # far below the spread of any sound, far above float32 rounding of a level
_HIGHEST = jax.lax.Precision.HIGHEST


class Normaliser(NamedTuple):
    """A pytree of arrays; a step that is not wanted is None.

    Attributes:
        mean: subtracted from each bin, `[mels, channels]`, dB.
        scale: multiplied to each bin after that, `[mels, channels]`.
        whitening: matrix applied to the mel axis after that, `[channels, mels, mels]`.
        clip_floor: if set, each clip is first brought to mean 0 and standard deviation 1 in each
            channel; standard deviations count as at least this many dB, which keeps silence finite.
    """

    mean: Float[Array, "mels channels"] | None = None
    scale: Float[Array, "mels channels"] | None = None
    whitening: Float[Array, "channels mels mels"] | None = None
    clip_floor: Float[Array, ""] | None = None


class Moments(NamedTuple):
    """Count, mean and centred second moments of frames, in float64 on the host.

    Attributes:
        frames: their number.
        mean: `[mels, channels]`.
        scatter: sum of centred products, `[channels, mels, mels]` where the covariance is wanted,
            otherwise only its diagonal as `[mels, channels]`.
    """

    frames: float
    mean: np.ndarray
    scatter: np.ndarray


def normalise(
    x: Float[Array, "batch mels frames channels"], normaliser: Normaliser
) -> Float[Array, "batch mels frames channels"]:
    """Applies a fitted normaliser to features in dB; for use inside jit."""
    if normaliser.clip_floor is not None:
        x = x - x.mean(axis=(1, 2), keepdims=True)
        spread = jnp.sqrt(jnp.square(x).mean(axis=(1, 2), keepdims=True))
        x = x / jnp.maximum(spread, normaliser.clip_floor)
    if normaliser.mean is not None:
        x = x - normaliser.mean[:, None, :]
    if normaliser.scale is not None:
        x = x * normaliser.scale[:, None, :]
    if normaliser.whitening is not None:
        x = jnp.einsum("cnm,bmfc->bnfc", normaliser.whitening, x, precision=_HIGHEST)
    return x


def fit_normaliser(
    moments: Moments | None, *, kind: Normalisation = "per_bin", shrinkage: float = 0.05
) -> Normaliser:
    """A normaliser from the moments of normal training frames.

    Args:
        moments: from `collect_moments`; None is enough for the kinds `per_clip` and `none`.
        kind: what to do; see above.
        shrinkage: only for `whiten`: the share of the mean variance that is mixed into the
            covariance, in (0, 1]. Neighbouring low mel filters overlap so much that without it the
            whitening would blow up rounding noise.

    Raises:
        UserError: if the moments lack what the kind needs.
    """
    if kind == "none":
        return Normaliser()
    if kind == "per_clip":
        return Normaliser(clip_floor=jnp.float32(CLIP_FLOOR_DB))
    if moments is None or moments.frames < 2:
        raise UserError(f"features.normalise={kind!r} needs at least one normal training clip.")
    mean = jnp.asarray(moments.mean, jnp.float32)
    if kind == "whiten":
        return Normaliser(mean=mean, whitening=_whitening(moments, shrinkage))
    variance = _variance(moments)
    # A bin that never changes (digital silence) carries nothing: leave it at 0, do not divide.
    scale = np.where(variance > 1e-8, 1.0 / np.sqrt(np.maximum(variance, 1e-8)), 1.0)
    return Normaliser(mean=mean, scale=jnp.asarray(scale, jnp.float32))


def collect_moments(
    batches: Iterable[
        tuple[Float[Array, "batch mels frames channels"], Bool[Array, "batch"] | None]
    ],
    *,
    covariance: bool = False,
) -> Moments:
    """Moments over all frames of a stream of (features, valid) batches.

    Each batch is centred on its own mean on the device, then merged on the host in float64 (Chan,
    Golub, LeVeque 1983), so nothing cancels and the order of the batches does not matter beyond
    float32 rounding. Rows with `valid` False are padding; None means that all count.

    Raises:
        UserError: if there is no valid clip at all.
    """
    total: Moments | None = None
    for x, valid in batches:
        weight = jnp.ones(x.shape[0], bool) if valid is None else valid
        count, mean, scatter = _batch_moments(x, weight, covariance=covariance)
        if float(count) == 0:
            continue
        part = Moments(float(count), np.asarray(mean, np.float64), np.asarray(scatter, np.float64))
        total = part if total is None else merge_moments(total, part)
    if total is None:
        raise UserError("The normaliser found no clip to learn from: check the training split.")
    return total


def merge_moments(a: Moments, b: Moments) -> Moments:
    """The moments of the union of two sets of frames."""
    count = a.frames + b.frames
    step = b.mean - a.mean
    if a.scatter.ndim == 3:
        between = np.einsum("mc,nc->cmn", step, step)
    else:
        between = np.square(step)
    scatter = a.scatter + b.scatter + between * (a.frames * b.frames / count)
    return Moments(count, a.mean + step * (b.frames / count), scatter)


@functools.partial(jax.jit, static_argnames="covariance")
def _batch_moments(
    x: Float[Array, "batch mels frames channels"], valid: Bool[Array, "batch"], *, covariance: bool
) -> tuple[Array, Array, Array]:
    weight = valid.astype(jnp.float32)[:, None, None, None]
    count = weight.sum() * x.shape[2]
    mean = (x * weight).sum(axis=(0, 2)) / jnp.maximum(count, 1.0)
    centred = (x - mean[:, None, :]) * weight
    if covariance:
        scatter = jnp.einsum("bmfc,bnfc->cmn", centred, centred, precision=_HIGHEST)
    else:
        scatter = jnp.square(centred).sum(axis=(0, 2))
    return count, mean, scatter


def _variance(moments: Moments) -> Float[np.ndarray, "mels channels"]:
    scatter = moments.scatter
    if scatter.ndim == 3:
        scatter = np.diagonal(scatter, axis1=1, axis2=2).T
    return scatter / moments.frames


def _whitening(moments: Moments, shrinkage: float) -> Float[Array, "channels mels mels"]:
    if moments.scatter.ndim != 3:
        raise UserError("features.normalise='whiten' needs moments collected with covariance=True.")
    matrices = []
    for scatter in moments.scatter:
        covariance = scatter / moments.frames
        mean_variance = max(np.trace(covariance) / len(covariance), 1e-8)
        shrunk = (1 - shrinkage) * covariance + shrinkage * mean_variance * np.eye(len(covariance))
        values, vectors = np.linalg.eigh(shrunk)
        # The symmetric root (ZCA) stays closest to the input: neighbours in frequency remain
        # neighbours, which convolutions rely on.
        matrices.append((vectors / np.sqrt(values)) @ vectors.T)
    return jnp.asarray(np.stack(matrices), jnp.float32)
