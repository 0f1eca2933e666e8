"""Convolution with long strides by blocks against XLA's: values, gradients, and no frames."""

import jax
import jax.export
import jax.numpy as jnp
import numpy as np
import pytest

from asd_jax.models import ops
from asd_jax.models.ops.blocks import by_blocks, in_blocks
from asd_jax.models.ops.convolution import conv_lax


def draw(seed, *shape):
    return jnp.asarray(np.random.default_rng(seed).standard_normal(shape), jnp.float32)


def with_gradients(function, x, kernel):
    y, pull = jax.vjp(function, x, kernel)
    return y, *pull(draw(9, *y.shape))


GEOMETRIES = [
    # samples, channels, features, kernel_size, stride, padding
    (160, 1, 3, 16, 8, 4),  # the stem's proportions: a frame touches three blocks
    (161, 1, 3, 16, 8, 8),
    (159, 2, 3, 20, 8, 3),
    (40, 1, 2, 16, 8, 0),
    (47, 1, 2, 16, 8, 0),  # samples that no frame reaches
    (50, 3, 2, 25, 12, 30),  # frames that lie outside the signal
]


@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_by_blocks(geometry):
    samples, channels, features, kernel_size, stride, padding = geometry
    x, kernel = draw(0, 2, 1, samples, channels), draw(1, 1, kernel_size, channels, features)
    found = with_gradients(lambda x, kernel: by_blocks(x, kernel, stride, padding), x, kernel)
    wanted = with_gradients(
        lambda x, kernel: conv_lax(x, kernel, (1, stride), (0, padding)), x, kernel
    )
    for a, b in zip(found, wanted, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)


def test_by_blocks_of_several_runs_side_by_side():
    x, kernel = draw(0, 3, 2, 1, 64, 1), draw(1, 3, 1, 16, 1, 2)

    def gradient(x, kernel):
        return with_gradients(lambda x, kernel: by_blocks(x, kernel, 8, 4), x, kernel)

    together = jax.vmap(gradient)(x, kernel)
    for run in range(3):
        for a, b in zip(together, gradient(x[run], kernel[run]), strict=True):
            np.testing.assert_allclose(a[run], b, atol=1e-5)


def test_the_stem_of_the_waveform_network_cuts_no_frames():
    x, kernel, shape = jnp.zeros((2, 1, 1280, 1)), jnp.zeros((1, 256, 1, 16)), (2, 1, 10, 256)

    def program(dtype):
        function = lambda *given: ops.conv(*given, stride=(1, 128), padding=(0, 64))  # noqa: E731
        shapes = jax.make_jaxpr(function)(x.astype(dtype), kernel.astype(dtype))
        return str(shapes).replace(" ", "")

    with ops.implementation("fast"):
        frames = ",".join(map(str, shape))
        assert f"f32[{frames}]" not in program(jnp.float32)
        assert f"bf16[{frames}]" in program(jnp.bfloat16)  # sums of rounded parts: left as it was
    with ops.implementation("lax"):
        assert "conv_general_dilated" in program(jnp.float32)


def test_blocks_are_for_strides_longer_than_what_they_give():
    x, stride = jnp.zeros((2, 1, 640, 1)), (1, 64)
    assert in_blocks(x, jnp.zeros((1, 128, 1, 16)), stride, (0, 32))
    assert not in_blocks(x, jnp.zeros((1, 128, 1, 32)), stride, (0, 32))  # 96 numbers for 64
    assert not in_blocks(x, jnp.zeros((1, 64, 1, 4)), stride, (0, 0))  # frames do not overlap
    assert not in_blocks(jnp.zeros((2, 2, 640, 1)), jnp.zeros((1, 128, 1, 4)), stride, (0, 0))


def test_an_unknown_batch_gathers_nothing():
    kernel, (batch,) = draw(0, 1, 16, 1, 2), jax.export.symbolic_shape("batch")
    with ops.implementation("fast"):
        program = jax.export.export(
            jax.jit(lambda x: ops.conv(x, kernel, stride=(1, 8), padding=(0, 4)))
        )(jax.ShapeDtypeStruct((batch, 1, 64, 1), jnp.float32))
    assert "gather" not in program.mlir_module().replace("test_an_unknown_batch_gathers", "")
    x = draw(1, 2, 1, 64, 1)
    np.testing.assert_allclose(
        program.call(x), conv_lax(x, kernel, (1, 8), (0, 4)), rtol=1e-4, atol=1e-4
    )
