"""`Model`, the small heads, and what training and sharding ask of every network."""

import math

import jax
import jax.export
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from asd_jax import losses, models, target
from asd_jax.models.ghostnet import GhostBlock, GhostNetV2
from asd_jax.models.initialise import kernel_init
from asd_jax.models.layers import BatchNorm, Depthwise
from asd_jax.models.model import wrap

# Every part of a network in one block: compiles in seconds.
DEEP = ((GhostBlock(3, 12, 12, 0.25, 1),) * 2,)
SMALL = ((GhostBlock(3, 12, 12, 0.25, 2),),)


def small(dropout=0.0):
    return wrap(GhostNetV2(embed_dim=6, head=10, stages=SMALL, dropout=dropout), (1, 16, 13, 2))


def batch(seed=0, size=8):
    return jnp.asarray(np.random.default_rng(seed).normal(size=(size, 16, 13, 2)), jnp.float32)


def make_step(model):
    def loss(params, stats, x):
        (embedding, _), stats = model.apply({"params": params, "batch_stats": stats}, x, train=True)
        return jnp.mean(jnp.square(embedding - 1)), stats

    def step(variables, x):
        gradient = jax.value_and_grad(loss, has_aux=True)
        (value, stats), g = gradient(variables["params"], variables["batch_stats"], x)
        params = jax.tree.map(lambda p, g: p - 0.1 * g, variables["params"], g)
        return {"params": params, "batch_stats": stats}, value

    return step


@pytest.fixture(scope="module")
def model():
    return small()


@pytest.fixture(scope="module")
def counted(model):
    """The compiled step, and a list that grows when it is traced."""
    traces = []

    def step(variables, x):
        traces.append(0)
        return make_step(model)(variables, x)

    return jax.jit(step), traces


def assert_trees_close(one, two, **tolerance):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, **tolerance), one, two)


def test_inference_leaves_statistics_alone_and_training_moves_them(model):
    variables = model.init(jax.random.key(0))
    assert set(variables) == {"params", "batch_stats"}
    kept, moved = jax.jit(
        lambda v, x: [model.apply(v, x, train=train)[1] for train in (False, True)]
    )(variables, batch())
    assert_trees_close(kept, variables["batch_stats"], rtol=0)
    assert float(jnp.abs(moved["stem"]["bn"]["mean"]).max()) > 0


def test_momentum_is_the_share_of_the_old_statistics():
    x = jnp.array([[1.0], [3.0]])
    variables = {"batch_stats": {"mean": jnp.array([10.0]), "var": jnp.array([5.0])}}
    module = BatchNorm(use_bias=False, use_scale=False)
    _, new = module.apply(variables, x, train=True, mutable=["batch_stats"])
    np.testing.assert_allclose(new["batch_stats"]["mean"], [0.9 * 10 + 0.1 * 2], rtol=1e-6)
    np.testing.assert_allclose(new["batch_stats"]["var"], [0.9 * 5 + 0.1 * 1], rtol=1e-6)


def test_step_compiles_once_and_learns(model, counted):
    (step, traces), values = counted, []
    variables = model.init(jax.random.key(0))
    for _ in range(5):
        variables, value = step(variables, batch())
        values.append(float(value))
    assert len(traces) == 1
    assert values[-1] < values[0]


def test_step_vmaps_over_runs(model, counted):
    runs = [model.init(jax.random.key(seed)) for seed in (0, 1)]
    inputs = [batch(seed) for seed in (0, 1)]
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *runs)
    together, values = jax.jit(jax.vmap(make_step(model)))(stacked, jnp.stack(inputs))
    for run in range(2):
        alone, value = counted[0](runs[run], inputs[run])
        np.testing.assert_allclose(values[run], value, rtol=1e-4)
        assert_trees_close(
            jax.tree.map(lambda leaf, run=run: leaf[run], together), alone, rtol=1e-3, atol=1e-4
        )


def test_eight_devices_are_one(model, counted):
    if jax.device_count() < 8:
        pytest.skip("needs eight virtual devices")
    variables = model.init(jax.random.key(0))
    one, value = counted[0](variables, batch())
    mesh = jax.make_mesh((8,), ("data",), axis_types=(AxisType.Auto,))
    same, split = (NamedSharding(mesh, PartitionSpec(*axes)) for axes in ((), ("data",)))
    many = jax.jit(make_step(model), in_shardings=(same, split), out_shardings=(same, same))
    eight, value8 = many(jax.device_put(variables, same), jax.device_put(batch(), split))
    np.testing.assert_allclose(value8, value, rtol=1e-5)
    assert_trees_close(eight, one, rtol=1e-3, atol=1e-4)


def test_dropout_draws_from_the_key():
    model = small(dropout=0.5)
    variables = model.init(jax.random.key(0))
    run = jax.jit(lambda key: model.apply(variables, batch(), train=True, key=key)[0][0])
    one, same, other = (run(jax.random.key(seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    assert float(jnp.abs(one - other).max()) > 0


def test_initial_kernels_are_pytorchs_and_differ():
    params = models.projector(64, hidden=256).init(jax.random.key(0))["params"]
    for name, fan_in in (("dense1", 64), ("dense2", 256)):
        kernel = np.asarray(params[name]["kernel"])
        bound = 1 / math.sqrt(fan_in)
        assert 0.98 * bound < np.abs(kernel).max() <= bound
        np.testing.assert_allclose(kernel.std(), bound / math.sqrt(3), rtol=0.03)
    one, two = (np.ravel(params[name]["kernel"])[:1000] for name in ("dense2", "dense3"))
    assert abs(np.corrcoef(one, two)[0, 1]) < 0.2
    again, other = (models.projector(64, hidden=256).init(jax.random.key(s)) for s in (0, 1))
    assert_trees_close(again["params"], params, rtol=0)
    assert not np.allclose(other["params"]["dense1"]["kernel"], params["dense1"]["kernel"])


def test_initial_kernels_without_wrap_have_the_same_law():
    kernel = kernel_init(jax.random.key(0), (3, 3, 1, 500))
    assert np.abs(kernel).max() <= 1 / 3
    np.testing.assert_allclose(kernel.std(), 1 / 3 / math.sqrt(3), rtol=0.03)
    params = Depthwise().init(jax.random.key(0), jnp.zeros((1, 4, 4, 7)))["params"]
    assert params["kernel"].shape == (3, 3, 1, 7)


def test_projector_ends_in_batchnorm_without_scale_and_shift():
    model = models.projector(12, out=5)
    variables = model.init(jax.random.key(0))
    assert set(variables["params"]) == {"dense1", "bn1", "dense2", "bn2", "dense3"}
    x = jnp.asarray(np.random.default_rng(0).normal(size=(64, 12)), jnp.float32)
    z, _ = model.apply(variables, x, train=True)
    np.testing.assert_allclose(z.mean(0), 0, atol=1e-5)
    np.testing.assert_allclose(z.std(0), 1, rtol=1e-2)


def test_predictor_is_a_bottleneck():
    params = models.predictor(512, hidden=128).init(jax.random.key(0))["params"]
    assert params["dense1"]["kernel"].shape == (512, 128)
    assert params["dense2"]["kernel"].shape == (128, 512)
    assert "bias" in params["dense2"] and "bias" not in params["dense1"]


def test_class_centres_fit_the_loss():
    model = models.class_centres(7, 16, sub_centres=3)
    centres, stats = model.apply(model.init(jax.random.key(0)), train=True)
    assert centres.shape == (7, 3, 16) and stats == {}
    np.testing.assert_allclose(jnp.linalg.norm(centres, axis=-1).mean(), 1.0, rtol=0.1)
    embedding = 5 * centres[:, 1]
    cosines = losses.class_cosines(embedding, centres)
    np.testing.assert_array_equal(cosines.argmax(-1), np.arange(7))


def test_linen_stays_inside_models():
    assert isinstance(models.predictor(4, hidden=2), models.Model)
    assert not isinstance(models.predictor(4, hidden=2), nn.Module)


FOLDABLE = {
    "ghostnet": (small(), [(2, 16, 13, 2)]),
    "temporal": (models.temporal((3000,)), [(2, 3000)]),
    "temporal as printed": (models.temporal((3000,), embedding_norm=False), [(2, 3000)]),
    "fusion": (models.fusion((8, 8)), [(2, 8), (2, 8)]),
    "efficientnet": (
        models.build_classifier("efficientnetv2_s", width=0.2, depth=0.1, input_size=32),
        [(2, 32, 32, 3)],
    ),
}


@pytest.mark.parametrize("name", FOLDABLE)
def test_folded_batch_norm_gives_the_same_output(name):
    """With averages that are far from 0 and 1, as after training."""
    network, shapes = FOLDABLE[name]
    drawn = np.random.default_rng(0)
    variables = jax.tree.map(
        lambda v: jnp.asarray(v + drawn.uniform(0.1, 0.6, v.shape), jnp.float32),
        network.init(jax.random.key(0)),
    )
    folded = network.fold(variables)
    kept = [jax.tree_util.keystr(path) for path, _ in jax.tree_util.tree_leaves_with_path(folded)]
    assert not [path for path in kept if "'bn'" in path]
    inputs = [jnp.asarray(drawn.normal(size=shape), jnp.float32) for shape in shapes]
    embed = jax.jit(lambda variables: network.apply(variables, *inputs, train=False)[0][0])
    want, got = embed(variables), embed(folded)
    np.testing.assert_allclose(got / np.abs(want).max(), want / np.abs(want).max(), atol=2e-5)


class TestGroups:
    """Outside training a CPU computes a few examples at a time."""

    model = wrap(GhostNetV2(embed_dim=6, head=10, stages=SMALL), (1, 16, 13, 2), at_a_time=4)

    @pytest.fixture(autouse=True)
    def one_device(self, monkeypatch):
        monkeypatch.setattr(jax, "local_device_count", lambda: 1)

    def loops(self, size):
        run = jax.jit(lambda v, x: self.model.apply(v, x, train=False)[0])
        variables = jax.eval_shape(self.model.init, jax.random.key(0))
        shape = jax.ShapeDtypeStruct((size, 16, 13, 2), jnp.float32)
        return "stablehlo.while" in run.lower(variables, shape).as_text()

    @pytest.mark.parametrize("size", [8, 12])
    def test_embeddings_and_taps_are_those_of_the_whole_batch(self, size):
        variables = self.model.init(jax.random.key(0))
        x = batch(size=size)
        assert self.loops(size)
        one, two = (
            jax.jit(lambda v, m=m: m.apply(v, x, train=False)[0])(variables)
            for m in (self.model, small())
        )
        assert one[0].shape == (size, 6)
        assert_trees_close(one, two, rtol=1e-4, atol=1e-5)

    def test_other_batches_devices_and_platforms_are_computed_whole(self, monkeypatch):
        assert not self.loops(4) and not self.loops(6) and not self.loops(1)
        for platform in ("onnx", "tpu", "gpu"):
            with target.compiling_for(platform):
                assert not self.loops(8)
        monkeypatch.setattr(jax, "local_device_count", lambda: 8)
        assert not self.loops(8)

    def test_a_batch_of_unknown_size_is_computed_whole(self):
        (size,) = jax.export.symbolic_shape("size")
        assert not self.loops(size)


class TestCompute:
    """What training may do otherwise than scoring: same variables, nearly the same numbers."""

    @staticmethod
    def gradients(**options):
        model = wrap(GhostNetV2(embed_dim=6, head=10, stages=DEEP, **options), (1, 16, 13, 2))
        plain = wrap(GhostNetV2(embed_dim=6, head=10, stages=DEEP), (1, 16, 13, 2))
        variables = plain.init(jax.random.key(0))

        def loss(params, x):
            parts = {"params": params, "batch_stats": variables["batch_stats"]}
            (embedding, _), stats = model.apply(parts, x, train=True)
            return jnp.mean(jnp.square(embedding - 1)), stats

        run = jax.jit(jax.value_and_grad(loss, has_aux=True))
        run = run.lower(variables["params"], batch()).compile()
        return run(variables["params"], batch()), run

    @pytest.fixture(scope="class")
    @classmethod
    def plain(cls):
        return cls.gradients()

    def test_rematerialised_blocks_give_the_same_gradients(self, plain):
        # That they take less memory is for accelerators' compilers to show (launch/reports): the
        # CPU's merges what is computed twice.
        (found, _), (wanted, _) = self.gradients(rematerialise=True), plain
        assert_trees_close(found, wanted, rtol=1e-4, atol=1e-5)

    def test_bfloat16_bodies_have_float32_gradients_and_averages(self, plain):
        ((value, stats), gradients), run = self.gradients(dtype=jnp.bfloat16)
        assert "bf16" in run.as_text()
        ((wanted, averages), _), _ = plain
        for leaf in jax.tree.leaves((value, stats, gradients)):
            assert leaf.dtype == jnp.float32
        np.testing.assert_allclose(value, wanted, rtol=0.05)
        assert_trees_close(stats, averages, rtol=0.1, atol=0.02)
