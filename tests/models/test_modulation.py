"""The network of modulations against librosa and NumPy, and that it learns what the mean hides."""

import jax
import jax.numpy as jnp
import librosa
import numpy as np
import optax
import pytest

from asd_jax.models import modulation
from tests.features.test_modulation import oracle

RATE = 8000
SAMPLES = 2 * RATE


def network(**options):
    model = modulation((SAMPLES,), **({"sample_rate": RATE, "embed_dim": 16} | options))
    return model, model.init(jax.random.key(0))


def beating(rate, seed, clips=8):
    """Noise whose level swings `rate` times a second; its mean spectrum does not tell the rate."""
    rng = np.random.default_rng(seed)
    time = np.arange(SAMPLES) / RATE
    swing = 1 + 0.7 * np.sin(2 * np.pi * (rate * time + rng.random((clips, 1))))
    return (0.1 * swing * rng.normal(size=(clips, SAMPLES))).astype(np.float32)


def test_it_equals_librosa_and_numpy():
    model, variables = network()
    rng = np.random.default_rng(1)
    variables = jax.tree.map(lambda x: x + rng.uniform(0.1, 0.3, x.shape).astype("f4"), variables)
    wave = beating(5, seed=2, clips=2)
    (embedding, between), _ = model.apply(variables, jnp.asarray(wave), train=False)
    params, stats = (jax.tree.map(np.float64, variables[k]) for k in ("params", "batch_stats"))
    shares = np.exp(params["bands"]) / np.exp(params["bands"]).sum(0)
    for clip, found, got in zip(wave, between["modulation"], embedding, strict=True):
        power = librosa.feature.melspectrogram(
            y=clip, sr=RATE, n_fft=128, hop_length=64, n_mels=32, pad_mode="constant"
        )
        spectrum = oracle(10 * np.log10(shares.T @ power), 64)
        np.testing.assert_allclose(found, spectrum, atol=0.02)
        x = spectrum.ravel() - stats["norm"]["mean"]
        x = x / np.sqrt(stats["norm"]["var"] + 1e-5) * params["norm"]["scale"]
        x = (x + params["norm"]["bias"]) @ params["embedding"]["kernel"]
        x = x + params["embedding"]["bias"] - stats["embedding_norm"]["mean"]
        x = x / np.sqrt(stats["embedding_norm"]["var"] + 1e-5)
        np.testing.assert_allclose(got, x, atol=0.05, rtol=1e-3)


def test_it_learns_which_of_two_rates_a_clip_has():
    model, variables = network()
    label = np.repeat([0, 1], 8)
    train, new = (np.concatenate([beating(4, s), beating(16, s)]) for s in (0, 1))
    optimizer = optax.adam(1e-2)

    def loss(params, stats):
        (embedding, _), stats = model.apply(
            {"params": params, "batch_stats": stats}, jnp.asarray(train), train=True
        )
        losses = optax.softmax_cross_entropy_with_integer_labels(embedding[:, :2], label)
        return losses.mean(), stats

    @jax.jit
    def step(params, stats, state):
        (_, stats), slope = jax.value_and_grad(loss, has_aux=True)(params, stats)
        change, state = optimizer.update(slope, state)
        return optax.apply_updates(params, change), stats, state

    params, stats = variables["params"], variables["batch_stats"]
    state = optimizer.init(params)
    for _ in range(30):
        params, stats, state = step(params, stats, state)
    assert np.abs(params["bands"] - variables["params"]["bands"]).max() > 0.01  # bands learn too
    learned = {"params": params, "batch_stats": stats}
    (embedding, _), _ = model.apply(learned, jnp.asarray(new), train=False)
    assert (np.asarray(embedding[:, :2]).argmax(1) == label).all()


def test_an_embedding_without_the_norm_is_what_the_layer_gives():
    plain = jax.eval_shape(network(embedding_norm=False)[0].init, jax.random.key(0))
    assert "embedding_norm" not in plain["batch_stats"]


@pytest.mark.parametrize("samples", [128, 4096])
def test_silence_and_short_clips_have_finite_gradients(samples):
    model = modulation((samples,), sample_rate=RATE)
    variables = model.init(jax.random.key(0))

    def total(params):
        (embedding, _), _ = model.apply(
            {**variables, "params": params}, jnp.zeros((2, samples)), train=True
        )
        return jnp.square(embedding).sum()

    slopes = jax.tree.leaves(jax.grad(total)(variables["params"]))
    assert all(np.isfinite(slope).all() for slope in slopes)
