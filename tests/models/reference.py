"""Our networks with timm's seeded weights, and what timm computes with them."""

import functools
import json
import pathlib

import jax
import jax.numpy as jnp
import numpy as np

from asd_jax.models import ops
from asd_jax.models.classifiers import classifier_module
from asd_jax.models.pretrained import from_timm
from tests.models.golden.seeded import image, sample, seeded_state

GOLDEN = pathlib.Path(__file__).parent / "golden"


@functools.cache
def golden(timm_name):
    with np.load(GOLDEN / f"{timm_name}.npz") as arrays:
        return dict(arrays)


def timm_state(timm_name):
    saved = golden(timm_name)
    names, shapes = zip(*json.loads(str(saved["names"])), strict=True)
    return seeded_state(names, [tuple(shape) for shape in shapes], float(saved["gain"]))


@functools.cache
def shapes_of(module, shape):
    """Shapes and types of the network's variables: nothing is compiled."""
    with ops.implementation("lax"):  # the quickest to trace
        return dict(
            jax.eval_shape(
                lambda key: module.init(key, jnp.zeros(shape), train=False), jax.random.key(0)
            )
        )


def random_variables(module, shape, seed=0):
    """Variables drawn by NumPy: nothing is compiled."""
    rng = np.random.default_rng(seed)

    def draw(path, leaf):
        if path[-1].key in ("scale", "var"):
            return rng.uniform(0.6, 1.4, leaf.shape).astype(leaf.dtype)
        spread = (2 / max(1, np.prod(leaf.shape[-4:-1]))) ** 0.5 if leaf.ndim > 1 else 0.1
        return (spread * rng.standard_normal(leaf.shape)).astype(leaf.dtype)

    return jax.tree_util.tree_map_with_path(draw, shapes_of(module, shape))


def ours_and_theirs(name, timm_name, blocks, *, state=None, **options):
    """Logits of both, and samples of the output of each of `blocks`: {ours: timm's}."""
    saved = golden(timm_name)
    shape = tuple(saved["shape"].tolist())
    module = classifier_module(name, num_outputs=saved["logits"].shape[1], **options)
    empty = jax.tree.map(lambda v: np.zeros(v.shape, v.dtype), shapes_of(module, shape))
    variables = from_timm(name, state or timm_state(timm_name), empty)

    @jax.jit
    def run(variables, x):
        (logits, _), state = module.apply(
            variables,
            x,
            train=False,
            capture_intermediates=lambda m, _: m.name in blocks,
            mutable=["intermediates"],
        )
        return logits, state["intermediates"]

    logits, seen = run(variables, jnp.asarray(image(shape)))
    ours = {block: sample(np.asarray(seen[block]["__call__"][0])) for block in blocks}
    theirs = {block: saved[f"block:{key}"] for block, key in blocks.items()}
    return np.asarray(logits), saved["logits"], ours, theirs


def efficientnet_blocks(timm_name):
    """Our names of the blocks whose outputs were written down, with timm's."""
    blocks = {"stem": "bn1", "final": "bn2"}
    for key in golden(timm_name):
        if key.startswith("block:blocks."):
            stage, number = key.removeprefix("block:blocks.").split(".")
            blocks[f"stage{int(stage) + 1}_block{number}"] = key.removeprefix("block:")
    return blocks
