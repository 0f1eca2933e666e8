"""Every fast form against XLA's own: values and gradients, at odd and even sizes."""

import functools
import re

import jax
import jax.export
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from asd_jax.models import ops
from asd_jax.models.ops.convolution import conv_lax
from asd_jax.models.ops.depthwise import depthwise_lax
from asd_jax.models.ops.products import sum_of_products
from asd_jax.models.ops.winograd import FORMS, filtering, suits, winograd


def draw(seed, *shape):
    return jnp.asarray(np.random.default_rng(seed).standard_normal(shape), jnp.float32)


def values_and_gradients(function, *inputs):
    """The output, and the gradients of a loss that weighs every output differently."""
    shape = jax.eval_shape(function, *inputs).shape
    weight = draw(99, *shape)
    numbers = tuple(range(len(inputs)))
    gradient = jax.grad(lambda *inputs: jnp.sum(weight * function(*inputs)), argnums=numbers)
    return jax.jit(lambda *inputs: (function(*inputs), *gradient(*inputs)))(*inputs)


def assert_same(one, two, *inputs):
    for a, b in zip(
        values_and_gradients(one, *inputs), values_and_gradients(two, *inputs), strict=True
    ):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4 * float(jnp.abs(b).max()))


@pytest.fixture
def fast():
    with ops.implementation("fast"):
        yield


GEOMETRIES = [
    # batch, height, width, channels, kernel_size, stride, padding
    (2, 8, 10, 3, (3, 3), (1, 1), (1, 1)),
    (3, 7, 9, 4, (3, 3), (2, 2), (1, 1)),
    (8, 9, 8, 2, (5, 5), (2, 2), (2, 2)),
    (1, 6, 7, 3, (5, 5), (1, 1), (2, 2)),
    (4, 5, 9, 3, (1, 5), (1, 1), (0, 2)),
    (16, 9, 5, 3, (5, 1), (1, 1), (2, 0)),
    (2, 1, 11, 4, (1, 3), (1, 3), (0, 1)),
    (2, 7, 8, 3, (3, 3), (1, 1), (0, 0)),
    (2, 5, 5, 2, (3, 3), (2, 1), (2, 1)),
]


@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_depthwise(fast, geometry):
    batch, height, width, channels, kernel_size, stride, padding = geometry
    x, kernel = draw(0, batch, height, width, channels), draw(1, *kernel_size, 1, channels)
    assert_same(
        lambda x, kernel: ops.depthwise(x, kernel, stride=stride, padding=padding),
        lambda x, kernel: depthwise_lax(x, kernel, stride, padding),
        x,
        kernel,
    )


@pytest.mark.parametrize("features", [3, 12])  # the gradient of x has a form for many features
@pytest.mark.parametrize("geometry", [*GEOMETRIES, (2, 1, 40, 1, (1, 16), (1, 8), (0, 8))])
def test_convolution(fast, geometry, features):
    batch, height, width, channels, kernel_size, stride, padding = geometry
    x, kernel = draw(0, batch, height, width, channels), draw(1, *kernel_size, channels, features)
    assert_same(
        lambda x, kernel: ops.conv(x, kernel, stride=stride, padding=padding),
        lambda x, kernel: conv_lax(x, kernel, stride, padding),
        x,
        kernel,
    )


# The larger tiles, whole and not, and maps of so few positions that the smaller ones take less.
@pytest.mark.parametrize("size", [(8, 12), (7, 9), (10, 5), (1, 2), (6, 2)])
@pytest.mark.parametrize("channels", [(32, 48), (40, 33)])
def test_winograd(fast, size, channels):
    x, kernel = draw(0, 2, *size, channels[0]), draw(1, 3, 3, *channels)
    assert suits(x, kernel, (1, 1), (1, 1))
    assert_same(
        lambda x, kernel: ops.conv(x, kernel, padding=(1, 1)),
        lambda x, kernel: conv_lax(x, kernel, (1, 1), (1, 1)),
        x,
        kernel,
    )


@pytest.mark.parametrize(
    "size, products", [((28, 28), 36), ((7, 7), 36), ((6, 2), 16), ((1, 1), 16)]
)
def test_winograd_trains_on_the_tiles_that_take_fewer_products(size, products):
    x, kernel = draw(0, 1, *size, 32), draw(1, 3, 3, 32, 32)
    program = jax.jit(lambda x, kernel: jax.vjp(winograd, x, kernel)[0]).lower(x, kernel).as_text()
    assert winograd_products(program) == products


def winograd_products(program):
    """How many products of 32 features a program has."""
    rows = re.findall(r" batching_dims.*-> tensor<(\d+)x\d+x32xf32>", program)
    return sum(map(int, rows))


def test_winograd_scores_on_the_smaller_tiles():
    x, kernel = draw(0, 2, 28, 28, 32), draw(1, 3, 3, 32, 32)
    program = jax.jit(winograd)
    assert winograd_products(program.lower(x, kernel).as_text()) == 16
    expected = conv_lax(x, kernel, (1, 1), (1, 1))
    np.testing.assert_allclose(program(x, kernel), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("size", [(16, 16), (6, 2)])
def test_winograd_rounds_little_more_than_the_direct_form(size):
    """Against float64; both forms have tiles of their own, which the two sizes choose."""
    x, kernel = draw(0, 2, *size, 48), draw(1, 3, 3, 48, 64)
    with jax.enable_x64(True):
        exact = values_and_gradients(
            functools.partial(conv_lax, stride=(1, 1), padding=(1, 1)),
            x.astype(jnp.float64),
            kernel.astype(jnp.float64),
        )
    for found, right in zip(values_and_gradients(winograd, x, kernel), exact, strict=True):
        right = np.asarray(right)
        error = np.std(np.asarray(found, np.float64) - right) / np.std(right)
        assert (
            error < 1.2e-6
        )  # direct 4e-7; the larger tiles 8e-7, by Lavin and Gray's points 1.7e-6


def test_winograd_of_several_runs(fast):
    x, kernel = draw(0, 3, 2, 8, 7, 32), draw(1, 3, 3, 3, 32, 40)
    reference = functools.partial(conv_lax, stride=(1, 1), padding=(1, 1))
    assert_same(jax.vmap(winograd), jax.vmap(reference), x, kernel)


@pytest.mark.parametrize("points", FORMS)
def test_minimal_filtering(points):
    form = filtering(points)
    assert form.products == form.step + 2
    tile, kernel = np.random.default_rng(0).standard_normal((2, form.products))
    found = form.results @ ((form.kernel @ kernel[:3]) * (form.inputs @ tile))
    np.testing.assert_allclose(found, np.correlate(tile, kernel[:3], "valid"), atol=1e-12)


def test_winograd_is_for_wide_float32_maps_at_full_resolution():
    x, kernel = draw(0, 1, 6, 6, 32), draw(1, 3, 3, 32, 32)

    def products(x, kernel, **options):
        convolve = functools.partial(ops.conv, **{"padding": (1, 1), **options})
        return jax.jit(convolve).lower(x, kernel).as_text().count("stablehlo.dot_general")

    with ops.implementation("fast"):
        assert products(x, kernel) >= 4
        assert products(x, kernel, stride=(2, 2)) == 0
        assert products(x, kernel, padding=(0, 0)) == 0
        assert products(x[..., :16], kernel[:, :, :16]) == 0
        assert products(x.astype(jnp.bfloat16), kernel.astype(jnp.bfloat16)) == 0
    with ops.implementation("lax"):
        assert products(x, kernel) == 0


def test_winograd_of_an_unknown_batch_gathers_nothing(fast):
    kernel, (batch,) = draw(0, 3, 3, 32, 32), jax.export.symbolic_shape("batch")
    program = jax.export.export(jax.jit(lambda x: ops.conv(x, kernel, padding=(1, 1))))(
        jax.ShapeDtypeStruct((batch, 7, 6, 32), jnp.float32)
    )
    operations = program.mlir_module()  # names of functions are in it too, this test's among them
    assert "stablehlo.gather" not in operations
    assert "stablehlo.dynamic_gather" not in operations
    x = draw(1, 2, 7, 6, 32)
    expected = conv_lax(x, kernel, (1, 1), (1, 1))
    np.testing.assert_allclose(program.call(x), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("widths", [(12, 3), (3, 12), (5, 5)])
def test_sum_of_products(widths):
    left, right = draw(0, 2, 64, widths[0]), draw(1, 2, 64, widths[1])
    found = jax.vmap(sum_of_products)(left, right)
    np.testing.assert_allclose(found, np.einsum("rna,rnb->rab", left, right), atol=1e-4)
    program = jax.jit(sum_of_products).lower(left[0], right[0]).compile().as_text()
    (shape,) = re.findall(r"= f32\[(\d+,\d+)\]\S* dot\(", program)
    assert shape == f"{min(widths)},{max(widths)}"  # wider than high: see there


def test_sum_of_products_of_halves_is_in_float32():
    ones = jnp.ones((4096, 2), jnp.bfloat16)
    found = sum_of_products(ones, ones[:, :1])
    assert found.dtype == jnp.float32
    np.testing.assert_array_equal(found, 4096.0)


def test_one_by_one_is_a_matrix_product(fast):
    x, kernel = draw(0, 2, 5, 4, 3), draw(1, 1, 1, 3, 6)
    assert_same(
        lambda x, kernel: ops.conv(x, kernel),
        lambda x, kernel: conv_lax(x, kernel, (1, 1), (0, 0)),
        x,
        kernel,
    )


@pytest.mark.parametrize("size", [(6, 10), (7, 9), (6, 9)])
def test_average_pool_leaves_an_odd_edge_out(size):
    x = draw(0, 2, *size, 3)
    assert_same(ops.average_pool_2x2, lambda x: nn.avg_pool(x, (2, 2), (2, 2), padding="VALID"), x)


@pytest.mark.parametrize(("size", "out"), [((3, 5), (6, 11)), ((3, 4), (7, 8)), ((4, 5), (9, 17))])
def test_upsampling_shows_floor_of_i_in_over_out(size, out):
    x = draw(0, 2, *size, 3)
    rows, columns = ([i * n // m for i in range(m)] for n, m in zip(size, out, strict=True))
    assert_same(
        lambda x: ops.upsample_nearest(x, out),
        lambda x: x[:, np.array(rows)][:, :, np.array(columns)],
        x,
    )


def test_upsampling_is_not_jax_image_resize_at_odd_sizes():
    # Why it is written out: the nearest *centre* is another position.
    x = draw(0, 1, 3, 3, 1)
    resized = jax.image.resize(x, (1, 7, 7, 1), "nearest")
    assert float(jnp.abs(ops.upsample_nearest(x, (7, 7)) - resized).max()) > 0.1


@pytest.mark.parametrize("activation", [ops.identity, nn.silu, nn.relu, nn.leaky_relu])
@pytest.mark.parametrize("shape", [(4, 5, 6, 3), (6, 8)])
def test_batch_norm_and_its_gradient(shape, activation):
    x, scale, bias = 2 * draw(0, *shape) + 3, 1 + 0.1 * draw(1, shape[-1]), draw(2, shape[-1])
    module = nn.BatchNorm(use_running_average=False, epsilon=1e-3, use_fast_variance=False)
    stats = {"mean": jnp.zeros(shape[-1]), "var": jnp.ones(shape[-1])}

    def reference(x, scale, bias):
        variables = {"params": {"scale": scale, "bias": bias}, "batch_stats": stats}
        return activation(module.apply(variables, x, mutable=["batch_stats"])[0])

    def ours(x, scale, bias):
        return ops.batch_norm(x, scale, bias, 1e-3, activation)[0]

    assert_same(ours, reference, x, scale, bias)
    axes = tuple(range(len(shape) - 1))
    _, mean, variance = ops.batch_norm(x, scale, bias, 1e-3)
    np.testing.assert_allclose(mean, x.mean(axes), rtol=1e-5)
    np.testing.assert_allclose(variance, x.var(axes), rtol=1e-4)


def test_batch_norm_keeps_its_input_and_nothing_else_of_its_size():
    x, ones = draw(0, 4, 5, 6, 3), jnp.ones(3)
    _, gradient = jax.vjp(lambda x: ops.batch_norm(x, ones, ones, 1e-3, nn.silu)[0], x)
    kept = [leaf for leaf in jax.tree.leaves(gradient) if jnp.shape(leaf) == x.shape]
    assert len(kept) == 1


def test_batch_norm_of_embeddings_far_from_zero():
    x = 1000 + draw(0, 16, 4)
    y, _, variance = ops.batch_norm(x, jnp.ones(4), jnp.zeros(4), 1e-5)
    np.testing.assert_allclose(variance, np.asarray(x, np.float64).var(0), rtol=1e-4)
    np.testing.assert_allclose(y.std(0), 1.0, rtol=1e-4)


def test_choice_of_form_follows_the_override():
    x, kernel = draw(0, 1, 5, 5, 2), draw(1, 3, 3, 1, 2)

    def program():
        # A new function each time: the choice is made while tracing.
        return jax.jit(lambda x: ops.depthwise(x, kernel)).lower(x).as_text()

    assert "stablehlo.convolution" not in program()  # the tests run on a CPU
    with ops.implementation("lax"):
        assert "stablehlo.convolution" in program()
    assert "stablehlo.convolution" not in program()


@pytest.mark.parametrize("form", ["fast", "lax"])
def test_operations_vmap_over_inputs_and_kernels(form):
    x, kernel = draw(0, 3, 2, 6, 7, 4), draw(1, 3, 3, 3, 1, 4)
    full = draw(2, 3, 3, 3, 4, 5)

    def loss(x, kernel, full):
        y = ops.depthwise(x, kernel, stride=(2, 2), padding=(1, 1))
        y = ops.conv(y, full, padding=(1, 1))
        y, _, _ = ops.batch_norm(y, jnp.ones(5), jnp.zeros(5), 1e-5)
        return jnp.sum(jnp.sin(ops.upsample_nearest(ops.average_pool_2x2(y), (5, 4))))

    with ops.implementation(form):
        gradient = jax.grad(loss, argnums=(0, 1, 2))
        together = jax.jit(jax.vmap(gradient))(x, kernel, full)
        alone = jax.jit(gradient)
        for run in range(3):
            single = alone(x[run], kernel[run], full[run])
            for a, b in zip(together, single, strict=True):
                np.testing.assert_allclose(a[run], b, rtol=1e-3, atol=1e-4)


def test_one_by_one_with_a_stride(fast):
    x, kernel = draw(0, 2, 5, 4, 3), draw(1, 1, 1, 3, 6)
    assert_same(
        lambda x, kernel: ops.conv(x, kernel, stride=(2, 2)),
        lambda x, kernel: conv_lax(x, kernel, (2, 2), (0, 0)),
        x,
        kernel,
    )
