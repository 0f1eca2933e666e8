"""The losses as pure functions. Each gives one value an example, `[batch]`, in float32.

Equation numbers are those of Liao et al. (2025). Where the print is wrong or unstable, the default
is mended and the docstring says how; the printed form stays available.
"""

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike
from jaxtyping import Float, Int

_HIGHEST = jax.lax.Precision.HIGHEST


def l2_normalise(x: Float[Array, "*batch dim"]) -> Float[Array, "*batch dim"]:
    """Unit vectors in float32; a zero vector stays zero and has a finite gradient."""
    x = x.astype(jnp.float32)
    square = jnp.square(x).sum(axis=-1, keepdims=True)
    return x * jax.lax.rsqrt(jnp.maximum(square, 1e-12))


def cosine(a: Float[Array, "batch dim"], b: Float[Array, "batch dim"]) -> Float[Array, "batch"]:
    """Cosine similarity row by row, in [-1, 1]; 0 where a row is the zero vector."""
    return (l2_normalise(a) * l2_normalise(b)).sum(axis=-1)


# --- Pre-training: SimSiam -------------------------------------------------------------------


def simsiam_loss(
    prediction1: Float[Array, "batch dim"],
    projection1: Float[Array, "batch dim"],
    prediction2: Float[Array, "batch dim"],
    projection2: Float[Array, "batch dim"],
) -> Float[Array, "batch"]:
    """Symmetric negative cosine between two views (eq. 3 and 4), in [-1, 1].

    Args:
        prediction1: the predictor's output p1 of the first view.
        projection1: the projector's output z1 of the first view; no gradient flows into it.
        prediction2: p2 of the second view.
        projection2: z2 of the second view.
    """
    target1, target2 = jax.lax.stop_gradient((projection1, projection2))
    return -0.5 * cosine(prediction1, target2) - 0.5 * cosine(prediction2, target1)


# --- Classification: ArcFace -----------------------------------------------------------------


def class_cosines(
    embedding: Float[Array, "batch dim"],
    prototypes: Float[Array, "classes dim"] | Float[Array, "classes centres dim"],
    *,
    members: int = 1,
) -> Float[Array, "batch classes"]:
    """Cosine of each embedding to each class; of several centres a class, the nearest counts.

    Of several networks whose embeddings stand side by side it is the mean of their cosines.
    """
    if members > 1:
        return jnp.stack(member_cosines(embedding, prototypes, members)).mean(axis=0)
    unit = l2_normalise(prototypes)
    if unit.ndim == 2:
        unit = unit[:, None, :]
    similarity = jnp.einsum("bd,ckd->bck", l2_normalise(embedding), unit, precision=_HIGHEST)
    return similarity.max(axis=-1)


def member_cosines(
    embedding: Float[Array, "batch dim"], prototypes: Array, members: int
) -> list[Float[Array, "batch classes"]]:
    """`class_cosines` of each network, whose parts of `dim` stand side by side in both arrays.

    Args:
        embedding: of the clips.
        prototypes: `[classes, dim]` or `[classes, centres, dim]`.
        members: number of networks.
    """
    parts = (jnp.split(x, members, axis=-1) for x in (embedding, prototypes))
    return [class_cosines(x, centres) for x, centres in zip(*parts, strict=True)]


def arcface_loss(
    cosines: Float[Array, "batch classes"],
    label: Int[Array, "batch"],
    *,
    scale: ArrayLike = 30.0,
    margin: ArrayLike = 0.7,
    partner: Int[Array, "batch"] | None = None,
    weight: Float[Array, "batch"] | None = None,
) -> Float[Array, "batch"]:
    """Additive angular margin softmax (eq. 5, with its missing parentheses: s cos(theta + m)).

    Args:
        cosines: from `class_cosines`.
        label: class index of each example.
        scale: s. Not given in the paper; 30 as in STgram and Noisy-ArcMix.
        margin: m in radians. Not given in the paper; 0.7 as in the same.
        partner: class index of the clip that was mixed in; None if nothing was mixed.
        weight: the partner's share of the label in [0, 1], as eq. 2 mixes labels.

    Returns:
        The cross entropy; for mixed clips (1 - weight) times that of the label plus weight times
        that of the partner, each with the margin on its own class.
    """
    cosines = cosines.astype(jnp.float32)
    loss = _margin_cross_entropy(cosines, label, scale, margin)
    if partner is None or weight is None:
        return loss
    mixed_in = _margin_cross_entropy(cosines, partner, scale, margin)
    return (1.0 - weight) * loss + weight * mixed_in


def _margin_cross_entropy(
    cosines: Float[Array, "batch classes"], label: Int[Array, "batch"], s: ArrayLike, m: ArrayLike
) -> Float[Array, "batch"]:
    target = jax.nn.one_hot(label, cosines.shape[1], dtype=bool)
    logits = s * jnp.where(target, _add_margin(cosines, m), cosines)
    return -jnp.where(target, jax.nn.log_softmax(logits), 0.0).sum(axis=-1)


def _add_margin(cosines: Float[Array, "batch classes"], m: ArrayLike) -> Float[Array, "b c"]:
    """Returns cos(theta + m) for theta + m < pi; beyond, cos theta - m sin m: it keeps falling."""
    # Clip before the root: its slope is infinite at cos = +-1, and rounding may pass beyond.
    sine = jnp.sqrt(jnp.clip(1.0 - jnp.square(cosines), min=1e-12))
    moved = cosines * jnp.cos(m) - sine * jnp.sin(m)
    return jnp.where(cosines > -jnp.cos(m), moved, cosines - m * jnp.sin(m))


# --- Fine-tuning: clusters of normal, augmented and pseudo-anomalous clips -------------------


def cluster_loss(
    anchor: Float[Array, "batch dim"],
    positive: Float[Array, "batch dim"],
    negative: Float[Array, "batch dim"],
    *,
    margin: ArrayLike = 0.05,
    alpha: ArrayLike = 0.01,
    beta: ArrayLike = 0.005,
    scale: ArrayLike = 1.0,
    literal: bool = False,
) -> tuple[Float[Array, "batch"], Float[Array, "batch"]]:
    """(L_dis + alpha) exp(s L_cos + beta), eq. 6: pulls the positive, pushes the negative.

    By default the embeddings are normalised first and L_dis stops at 0 (a hinge): free embeddings
    make L_dis unbounded below, and the product then runs away to minus infinity. And D in L_cos is
    the cosine similarity that the text speaks of; as printed it is that of eq. 3, the *negative*
    cosine, with which L_cos pushes the positive away.

    Args:
        anchor: embeddings of the original clips.
        positive: of their augmented views.
        negative: of the pseudo-anomalies made from them.
        margin: m of L_dis.
        alpha: added to L_dis.
        beta: added in the exponent.
        scale: s in the exponent.
        literal: as printed: that sign, neither normalisation nor hinge. Diverges sooner or later.

    Returns:
        The losses, and for each example 1 where L_dis is above the hinge and 0 where it is not:
        their mean is the share of examples that still teach a distance.
    """
    anchor, positive, negative = (
        x.astype(jnp.float32) if literal else l2_normalise(x) for x in (anchor, positive, negative)
    )
    angle = cosine(anchor, negative) - cosine(anchor, positive)
    if literal:
        angle = -angle
    distance = jnp.square(anchor - positive).sum(-1) - jnp.square(anchor - negative).sum(-1)
    distance = distance + margin
    active = (distance > 0).astype(jnp.float32)
    if not literal:
        distance = jnp.maximum(distance, 0.0)
    return (distance + alpha) * jnp.exp(scale * angle + beta), active


# --- Supervised: normal or anomalous ---------------------------------------------------------


def bce_with_logits(
    logit: Float[Array, "batch"],
    target: Float[Array, "batch"],
    *,
    positive_weight: ArrayLike = 1.0,
    negative_weight: ArrayLike = 1.0,
) -> Float[Array, "batch"]:
    """Binary cross entropy of sigmoid(logit) (Sun 2025, eq. 5), finite for any logit.

    Args:
        logit: the network's output.
        target: probability of the positive class in [0, 1], perhaps smoothed and mixed.
        positive_weight: factor of the term in y, for imbalanced classes.
        negative_weight: factor of the term in 1 - y.
    """
    logit, target = logit.astype(jnp.float32), target.astype(jnp.float32)
    positive = target * jax.nn.softplus(-logit)
    negative = (1.0 - target) * jax.nn.softplus(logit)
    return jnp.asarray(positive_weight) * positive + jnp.asarray(negative_weight) * negative
