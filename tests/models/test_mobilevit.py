import jax
import jax.numpy as jnp
import numpy as np

from asd_jax.models import ops
from asd_jax.models.mobilevit import MobileViT, MobileViTBlock
from tests.models.reference import golden, ours_and_theirs, random_variables


def test_small_is_timms_block_by_block():
    blocks = {"stem": "stem", "final": "final_conv"}
    for key in golden("mobilevit_s"):
        if key.startswith("block:stages."):
            stage, number = map(int, key.removeprefix("block:stages.").split("."))
            kind = "global" if stage > 1 and number == 1 else f"block{number}"
            blocks[f"stage{stage + 1}_{kind}"] = key.removeprefix("block:")
    assert len(blocks) == 12
    with ops.implementation("lax"):
        got, want, seen, wanted = ours_and_theirs("mobilevit_s", "mobilevit_s", blocks)
    for block, values in wanted.items():
        np.testing.assert_allclose(seen[block], values, atol=1e-4, err_msg=block)
    np.testing.assert_allclose(got, want, atol=1e-5)


def test_trains_at_another_width():
    stages = (MobileViTBlock(8, 1, 2), MobileViTBlock(16, 1, 2, dim=16, depth=1))
    module = MobileViT(stages=stages, width=0.5)
    x = jnp.asarray(np.random.default_rng(0).standard_normal((2, 20, 20, 3)), jnp.float32)
    variables = random_variables(module, x.shape)
    assert variables["params"]["stage2_global"]["layer0"]["qkv"]["kernel"].shape == (16, 48)

    @jax.jit
    def gradients(params):
        def loss(params):
            (logits, intermediates), _ = module.apply(
                {**variables, "params": params},
                x,
                train=True,
                rngs={"dropout": jax.random.key(0)},
                mutable=["batch_stats"],
            )
            assert intermediates["embedding"].shape == (2, 32)
            return jnp.sum(jnp.square(logits))

        return jax.grad(loss)(params)

    with ops.implementation("lax"):
        for leaf in jax.tree.leaves(gradients(variables["params"])):
            assert np.isfinite(leaf).all() and np.any(leaf)
