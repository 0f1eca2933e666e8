import jax
import jax.numpy as jnp
import numpy as np

from asd_jax import models
from asd_jax.models import ops
from asd_jax.models.fusion import Fusion
from tests.models.reference import random_variables


def variables_of(module, *shapes):
    inputs = [jnp.zeros(shape) for shape in shapes]
    return jax.eval_shape(lambda key: module.init(key, *inputs, train=False), jax.random.key(0))


def test_maps_of_table_2():
    module, shapes = Fusion(), ((3, 512), (3, 512))
    variables = variables_of(module, *shapes)
    embedding, intermediates = jax.eval_shape(
        lambda v, a, b: module.apply(v, a, b, train=False),
        variables,
        *(jnp.zeros(shape) for shape in shapes),
    )
    assert embedding.shape == (3, 128)
    sizes = [(24, 24, 16), (12, 12, 64), (6, 6, 256), (1, 1, 512)]
    assert intermediates["input"].shape == (3, 24, 24, 2)
    for number, size in enumerate(sizes, start=1):
        assert intermediates[f"layer{number}"].shape == (3, *size)
    params = variables["params"]
    assert params["squeeze1"]["reduce"]["kernel"].shape == (16, 8)  # mid = 0.5 x channels
    assert params["squeeze2"]["reduce"]["kernel"].shape == (64, 32)
    assert params["layer4"]["conv"]["kernel"].shape == (6, 6, 256, 512)
    assert {name for name in params if "prelu" in name} == {"prelu1", "prelu2"}
    assert params["project_temporal"]["kernel"].shape == (512, 576)


def test_first_channel_is_time_second_is_frequency():
    model = models.fusion((576, 576))
    variables = model.init(jax.random.key(0))
    for name in ("project_temporal", "project_spectral"):
        variables["params"][name]["kernel"] = jnp.eye(576)
    temporal, spectral = jnp.arange(576.0)[None], -jnp.arange(576.0)[None]
    (_, intermediates), _ = jax.jit(lambda v, a, b: model.apply(v, a, b, train=False))(
        variables, temporal, spectral
    )
    np.testing.assert_array_equal(intermediates["input"][0, 1, 2], [26.0, -26.0])


def test_fast_forms_give_the_same():
    module = Fusion()

    class Pair(type(module)):  # one input, as the helper wants
        def __call__(self, x, *, train):
            return super().__call__(x, x, train=train)

    variables = random_variables(Pair(), (2, 40))
    x = np.random.default_rng(0).normal(size=(2, 40)).astype("f4")
    y = np.random.default_rng(1).normal(size=(2, 40)).astype("f4")
    results = []
    for form in ("fast", "lax"):
        with ops.implementation(form):
            run = jax.jit(lambda v, x, y: module.apply(v, x, y, train=False)[0])
            results.append(run(variables, x, y))
    np.testing.assert_allclose(*results, rtol=1e-4, atol=1e-4)


def test_projections_fit_any_width():
    jax.eval_shape(models.fusion((512, 256)).init, jax.random.key(0))
