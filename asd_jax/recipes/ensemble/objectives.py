"""What each stage of the ensemble minimises: from int16 waveforms to a loss, all on the device.

Every function returns a `Loss` for `asd_jax.train.step.make_step`. Its constants come from the
state, where `tunables.collect` has put them.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from asd_jax import losses
from asd_jax.augment.pseudo import LITERAL, RECOMMENDED, pseudo_batch
from asd_jax.augment.spectrogram import mix_batch
from asd_jax.augment.waveform import augment_waveform
from asd_jax.features.logmel import LogMel, log_mel, mel_frequencies, to_float
from asd_jax.features.normalise import normalise
from asd_jax.recipes.ensemble import networks
from asd_jax.recipes.ensemble.settings import Ensemble
from asd_jax.runs import tunables
from asd_jax.train.sharding import by_clip
from asd_jax.train.state import TrainState
from asd_jax.train.step import Loss, mean_over_batch
from asd_jax.types import Waves


def _augmented(key: Array, waves: Waves, config: Ensemble) -> Waves:
    options = {"settings": config.augment, "hop_length": config.features.hop_length}
    keys = jax.random.split(key, waves.shape[0])
    augment = jax.vmap(lambda k, wave: augment_waveform(k, wave, **options))
    return by_clip(augment)(keys, waves)


def _log_mel(waves: Waves, spec: LogMel) -> Float[Array, "batch mels frames channels"]:
    return by_clip(lambda waves: log_mel(waves, spec=spec))(waves)


def _apply(nets: networks.Networks, name: str, params: dict, state: TrainState, *inputs, key=None):
    """One learning network in training mode: its output and its new BatchNorm statistics."""
    variables = {"params": params[name], "batch_stats": state.stats[name]}
    return getattr(nets, name).apply(variables, *inputs, train=True, key=key)


def _identification(
    embedding: Float[Array, "batch dim"],
    prototypes: Array,
    label: Int[Array, "batch"],
    config: Ensemble,
    *,
    members: int = 1,
    **mixed: Array,
) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """ArcFace (eq. 5) and the share of clips whose own class is the nearest.

    Each of `members` networks side by side learns by itself; they are asked together.
    """
    arc = {"scale": config.arcface.scale, "margin": config.arcface.margin}
    each = losses.member_cosines(embedding, prototypes, members)
    values = [losses.arcface_loss(cosines, label, **arc, **mixed) for cosines in each]
    named = functools.reduce(jnp.add, each).argmax(axis=-1)
    return jnp.stack(values).mean(), mean_over_batch(named == label)


def spread(x: Float[Array, "batch dim"]) -> Float[Array, ""]:
    """Mean standard deviation of the unit vectors times sqrt(dim): near 1 is healthy, 0 collapsed.

    SimSiam's collapse detector (Chen and He 2021, section 4.1).
    """
    unit = losses.l2_normalise(x)
    return unit.std(axis=0).mean() * jnp.sqrt(x.shape[-1])


def pretrain_loss(config: Ensemble, nets: networks.Networks, spec: LogMel) -> Loss:
    """SimSiam with identification on spliced and mixed spectrograms (Liao section 2.4.1).

    Both views of a pair are mixed with the views of the same partner pair, cut at the same place,
    so that they remain two views of one (mixed) thing.
    """
    contrastive = config.pretrain.similarity > 0

    def loss(params, state, batch, key):
        now = tunables.tuned(config, state.tunables)
        key_view, key_mix, key_net = jax.random.split(key, 3)
        wave = to_float(batch["wave"])
        pair = (wave[:, 0], wave[:, 1]) if wave.ndim == 3 else (wave,) * (1 + contrastive)
        waves = _augmented(key_view, jnp.concatenate(pair), now)
        views = normalise(_log_mel(waves, spec), state.frozen["normaliser"])
        mixed = [mix_batch(key_mix, v, settings=now.augment) for v in jnp.split(views, len(pair))]
        x = jnp.concatenate([view for view, _, _ in mixed])
        partner, weight = mixed[0][1:]

        stats = {}
        (embedding, _), stats["encoder"] = _apply(nets, "encoder", params, state, x, key=key_net)
        prototypes, stats["identify"] = _apply(nets, "identify", params, state)
        label = jnp.tile(batch["label"], len(pair))
        shares = {
            "partner": label[jnp.tile(partner, len(pair))],
            "weight": jnp.tile(weight, len(pair)),
        }
        identification, accuracy = _identification(
            embedding, prototypes, label, now, members=config.encoder.members, **shares
        )
        metrics = {
            "identification": identification,
            "accuracy": accuracy,
            "spread_embedding": spread(embedding),
        }
        total = now.pretrain.identification * identification
        if contrastive:
            z, stats["projector"] = _apply(nets, "projector", params, state, embedding)
            p, stats["predictor"] = _apply(nets, "predictor", params, state, z)
            (p1, p2), (z1, z2) = jnp.split(p, 2), jnp.split(z, 2)
            similarity = losses.simsiam_loss(p1, z1, p2, z2).mean()
            metrics |= {"similarity": similarity, "spread_z": spread(z)}
            total += config.pretrain.similarity * similarity
        return total, (stats, metrics)

    return loss


def finetune_loss(config: Ensemble, nets: networks.Networks, spec: LogMel) -> Loss:
    """Three clusters: anchors, augmented positives, pseudo-anomalous negatives (eq. 6)."""
    settings = config.finetune
    shares = LITERAL if settings.negatives == "literal" else RECOMMENDED
    mel_hz = mel_frequencies(spec).astype(np.float32)

    def loss(params, state, batch, key):
        now = tunables.tuned(config, state.tunables)
        key_view, key_pseudo, key_net = jax.random.split(key, 3)
        wave = to_float(batch["wave"])
        spectrograms = _log_mel(jnp.concatenate([wave, _augmented(key_view, wave, now)]), spec)
        anchor, positive = jnp.split(spectrograms, 2)
        negative = pseudo_batch(key_pseudo, anchor, shares=shares, mel_hz=mel_hz)
        x = normalise(jnp.concatenate([anchor, positive, negative]), state.frozen["normaliser"])

        stats = {}
        (embedding, _), stats["encoder"] = _apply(nets, "encoder", params, state, x, key=key_net)
        prototypes, stats["identify"] = _apply(nets, "identify", params, state)
        a, p, n = jnp.split(embedding, 3)
        values, active = losses.cluster_loss(
            a,
            p,
            n,
            margin=now.finetune.margin,
            alpha=now.finetune.alpha,
            beta=now.finetune.beta,
            scale=now.finetune.scale,
            literal=settings.loss == "literal",
        )
        identification, accuracy = _identification(
            jnp.concatenate([a, p]),
            prototypes,
            jnp.tile(batch["label"], 2),
            now,
            members=config.encoder.members,
        )
        metrics = {
            "clusters": values.mean(),
            "active": active.mean(),
            "identification": identification,
            "accuracy": accuracy,
            "cosine_positive": losses.cosine(a, p).mean(),
            "cosine_negative": losses.cosine(a, n).mean(),
            "spread_embedding": spread(a),
        }
        total = values.mean() + now.finetune.identification * identification
        return total, (stats, metrics)

    return loss


def temporal_loss(config: Ensemble, nets: networks.Networks) -> Loss:
    """Identification from the raw waveform (Liao section 2.5)."""

    def loss(params, state, batch, key):
        now = tunables.tuned(config, state.tunables)
        key_view, key_net = jax.random.split(key)
        wave = _augmented(key_view, to_float(batch["wave"]), now)
        stats = {}
        (embedding, _), stats["temporal"] = _apply(
            nets, "temporal", params, state, wave, key=key_net
        )
        prototypes, stats["temporal_identify"] = _apply(nets, "temporal_identify", params, state)
        value, accuracy = _identification(embedding, prototypes, batch["label"], now)
        return value, (stats, {"accuracy": accuracy, "spread_embedding": spread(embedding)})

    return loss


def fusion_loss(config: Ensemble, nets: networks.Networks) -> Loss:
    """Identification from both frozen embeddings (Liao section 2.6).

    The batch holds them side by side as its `wave`. The encoders are in inference mode and get no
    gradient, so that their embeddings of a clip never change: they are computed once, before the
    stage.
    """

    def loss(params, state, batch, key):
        now = tunables.tuned(config, state.tunables)
        both = jnp.split(batch["wave"], [networks.temporal_dim(config)], axis=1)
        stats = {}
        (embedding, _), stats["fusion"] = _apply(nets, "fusion", params, state, *both, key=key)
        prototypes, stats["fusion_identify"] = _apply(nets, "fusion_identify", params, state)
        value, accuracy = _identification(embedding, prototypes, batch["label"], now)
        return value, (stats, {"accuracy": accuracy, "spread_embedding": spread(embedding)})

    return loss
