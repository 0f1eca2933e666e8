"""A network as two pure functions: all that the rest of the system knows of one."""

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import lax

from asd_jax import target
from asd_jax.models import ops
from asd_jax.models.initialise import Draw, drawing_from
from asd_jax.models.layers import ConvBN
from asd_jax.models.layers import fold as fold_conv_bn
from asd_jax.types import Tree

Shape = tuple[int, ...]


@dataclasses.dataclass(frozen=True)
class Model:
    """A network without its variables.

    Attributes:
        init: `init(key) -> {"params": ..., "batch_stats": ...}`; both are always there.
        apply: `apply(variables, *inputs, train, key=None) -> (output, new_batch_stats)`. In
            training BatchNorm uses the statistics of the batch and dropout needs the key.
            Otherwise the statistics come back as they were.
        fold: `fold(variables)`, variables for `apply` outside training alone, with BatchNorm's
            averages gone into the filters. Every scored clip is spared a pass over its maps.
    """

    init: Callable[[jax.Array], dict[str, Tree]]
    apply: Callable[..., tuple[Any, Tree]]
    fold: Callable[[dict[str, Tree]], dict[str, Tree]]


def wrap(module: nn.Module, *example_shapes: Shape, at_a_time: int = 0) -> Model:
    """The `Model` of a linen module whose call takes a `train` keyword.

    Args:
        module: the network.
        example_shapes: the shape of each of its inputs, with a batch axis of any length.
        at_a_time: examples that a CPU best computes at a time outside training, so that their maps
            stay in its cache; 0 for the whole batch. All that the network returns then has a batch
            axis.
    """

    def build(key: jax.Array, draw: Draw) -> dict[str, Tree]:
        inputs = [jnp.zeros(shape, jnp.float32) for shape in example_shapes]
        # The output is thrown away: the reference forms are the quickest to trace.
        with drawing_from(draw), ops.implementation("lax"):
            variables = module.init({"params": key}, *inputs, train=False)
        return {name: variables.get(name, {}) for name in ("params", "batch_stats")}

    @jax.jit
    def init(key: jax.Array) -> dict[str, Tree]:
        count = Draw(None)
        jax.eval_shape(lambda k: build(k, count), key)
        values = jax.random.uniform(key, (count.used,), minval=-1.0, maxval=1.0)
        return build(key, Draw(values))

    def apply(
        variables: dict[str, Tree], *inputs: jax.Array, train: bool, key: jax.Array | None = None
    ) -> tuple[Any, Tree]:
        if not train:
            forward = functools.partial(module.apply, variables, train=False)
            return _by_groups(forward, inputs, at_a_time), variables.get("batch_stats", {})
        rngs = {} if key is None else {"dropout": key}
        output, updated = module.apply(
            variables, *inputs, train=True, rngs=rngs, mutable=["batch_stats"]
        )
        return output, updated.get("batch_stats", {})

    def fold(variables: dict[str, Tree]) -> dict[str, Tree]:
        if "folded" in variables:
            return variables
        return _without_folded(variables, _folded(module, example_shapes, variables))

    return Model(init, apply, fold)


def _folded(module: nn.Module, shapes: Sequence[Shape], variables: dict[str, Tree]) -> Tree:
    """Returns what each `ConvBN` needs outside training.

    The layers are found by a trace of the network, and folded on the host: a program for a
    hundred small products takes seconds to compile.
    """
    found: dict[tuple[str, ...], float] = {}

    def note(call: Callable[..., Any], args: Sequence, kwargs: Mapping, context: Any) -> Any:
        if isinstance(context.module, ConvBN):
            found[context.module.path] = context.module.epsilon
        return call(*args, **kwargs)

    inputs = [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in shapes]
    with ops.implementation("lax"), nn.intercept_methods(note):
        jax.eval_shape(functools.partial(module.apply, train=False), variables, *inputs)
    folded: Tree = {}
    for path, epsilon in found.items():
        params, averages = (_below(variables[name], path) for name in ("params", "batch_stats"))
        *around, last = path
        parent = functools.reduce(lambda tree, name: tree.setdefault(name, {}), around, folded)
        parent[last] = fold_conv_bn(params, averages, epsilon)
    return folded


def _below(tree: Tree, path: Sequence[str]) -> Tree:
    return functools.reduce(lambda tree, name: tree[name], path, tree)


def _by_groups(forward: Callable[..., Tree], inputs: Sequence[jax.Array], size: int) -> Tree:
    """Calls `forward` on groups of `size` examples, where that is known to be faster.

    Not with several (virtual) devices: the batch is split over them, and a loop over groups would
    gather it.
    """
    batch = inputs[0].shape[0] if inputs else 0
    parts = size and isinstance(batch, int) and batch > size and batch % size == 0
    if not parts or target.platform() != "cpu" or jax.local_device_count() > 1:
        return forward(*inputs)
    grouped = [x.reshape(batch // size, size, *x.shape[1:]) for x in inputs]
    found = lax.map(lambda group: forward(*group), grouped)
    return jax.tree.map(lambda y: y.reshape(batch, *y.shape[2:]), found)


def _without_folded(variables: dict[str, Tree], folded: Tree) -> dict[str, Tree]:
    """The folded variables beside all that are still needed."""

    def rest(tree: Tree, done: Tree) -> Tree:
        if "kernel" in done:
            return {}
        left = {k: rest(v, done[k]) if k in done else v for k, v in tree.items()}
        return {k: v for k, v in left.items() if not isinstance(v, dict) or v}

    return {name: rest(tree, folded) for name, tree in variables.items()} | {"folded": folded}
