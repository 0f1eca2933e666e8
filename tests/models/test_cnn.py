import jax
import jax.numpy as jnp
import numpy as np
import scipy.signal

from asd_jax.models.cnn import CNN
from tests.models.reference import random_variables, shapes_of


def test_one_stage_is_correlation_batch_norm_relu_maximum_mean():
    module = CNN(num_outputs=3, in_channels=2, features=(8,))
    x = np.random.default_rng(0).standard_normal((2, 10, 7, 2)).astype(np.float32)
    variables = random_variables(module, x.shape)
    logits, intermediates = jax.jit(lambda v, x: module.apply(v, x, train=False))(
        variables, jnp.asarray(x)
    )
    params, stats = jax.tree.map(np.asarray, (variables["params"], variables["batch_stats"]))
    kernel = params["stage1"]["conv"]["kernel"].astype(np.float64)
    y = np.stack(
        [
            [
                sum(
                    scipy.signal.correlate2d(clip[..., c], kernel[..., c, k], mode="same")
                    for c in range(2)
                )
                for k in range(8)
            ]
            for clip in x
        ]
    )
    bn, running = params["stage1"]["bn"], stats["stage1"]["bn"]
    y = np.moveaxis(y, 1, -1)
    y = (y - running["mean"]) / np.sqrt(running["var"] + 1e-5) * bn["scale"] + bn["bias"]
    y = np.maximum(y, 0)[:, :, :6].reshape(2, 5, 2, 3, 2, 8).max((2, 4)).mean((1, 2))
    np.testing.assert_allclose(intermediates["embedding"], y, rtol=1e-5)
    dense = params["classifier"]
    np.testing.assert_allclose(logits, y @ dense["kernel"] + dense["bias"], rtol=1e-4, atol=1e-5)


def test_default_size():
    params = shapes_of(CNN(), (1, 32, 32, 3))["params"]
    convs = 9 * (3 * 32 + 32 * 64 + 64 * 128 + 128 * 256)
    norms = 2 * (32 + 64 + 128 + 256)
    assert sum(leaf.size for leaf in jax.tree.leaves(params)) == convs + norms + 257


def test_dropout_acts_in_training_alone():
    module = CNN(features=(8,), dropout=0.5)
    x = jnp.asarray(np.random.default_rng(0).standard_normal((4, 8, 8, 3)), jnp.float32)
    variables = random_variables(module, x.shape)

    @jax.jit
    def train(variables, key):
        return module.apply(
            variables, x, train=True, rngs={"dropout": key}, mutable=["batch_stats"]
        )[0][0]

    assert not np.array_equal(
        train(variables, jax.random.key(0)), train(variables, jax.random.key(1))
    )
