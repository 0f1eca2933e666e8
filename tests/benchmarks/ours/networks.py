"""Our side of the networks: one training step, or one inference, on a batch that is already there.

A training step is what `asd_jax.main` runs: `make_step` and `make_optimizer`, jitted, with
the state donated.
"""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import optax

from asd_jax import losses, models
from asd_jax.models import ops
from asd_jax.models.attention import Attention
from asd_jax.models.classifiers import build_classifier
from asd_jax.recipes.ensemble.backends import BRANCHES
from asd_jax.recipes.ensemble.settings import Ensemble, Scoring, Temporal
from asd_jax.runs.settings import Optimizer
from asd_jax.train.optimizer import make_optimizer
from asd_jax.train.sharding import data_mesh
from asd_jax.train.state import create_state
from asd_jax.train.step import compile_step, make_step
from tests.benchmarks.protocol import Work

Model = models.Model
SHAPES = {
    "ghostnetv2": (224, 313, 2),
    "efficientnetv2_s": (224, 224, 3),
    "temporal": (160000,),
}
PAPER = Ensemble(temporal=Temporal(name="table1"), scoring=Scoring(branches=tuple(BRANCHES)))
CLASSES = 512  # the embedding's width: its numbers serve as logits
RATES = Optimizer(kind="sgd", learning_rate=1e-3, weight_decay=1e-4, momentum=0.9)


def network(name: str, variant: dict[str, Any], **options: Any) -> Model:
    """The network at the size that is measured; `options` of a backbone."""
    if name != "efficientnetv2_s":
        return models.backbone(name, SHAPES[name], **options)
    attention = Attention(variant.get("attention", "se"))
    return build_classifier(name, input_size=SHAPES[name][0], attention=attention)


def draw(name: str, batch: int) -> dict[str, jax.Array]:
    """Inputs and labels, on the device."""
    rng = np.random.default_rng(0)
    classes = 2 if name == "efficientnetv2_s" else CLASSES
    x = rng.standard_normal((batch, *SHAPES[name]), np.float32)
    return jax.device_put({"x": x, "label": rng.integers(0, classes, batch).astype(np.int32)})


def loss_of(net: Model, name: str) -> Callable[..., tuple]:
    """Cross entropy, binary where there is one logit."""

    def loss(params, state, batch, key):
        variables = {"params": params["net"], "batch_stats": state.stats["net"]}
        (logits, _), stats = net.apply(variables, batch["x"], train=True, key=key)
        if name == "efficientnetv2_s":
            values = losses.bce_with_logits(logits[:, 0], batch["label"])
        else:
            values = optax.softmax_cross_entropy_with_integer_labels(logits, batch["label"])
        return values.mean(), ({"net": stats}, {})

    return loss


def build(variant: dict[str, Any], program: dict[str, Any]) -> Work:
    """A training step or an inference of a network, in the form 'fast', or 'lax'.

    A program's `parts` and `rematerialise` are the settings `compute.accumulate` and
    `compute.rematerialise`.
    """
    name, batch = program["network"], program["batch"]
    net = network(name, variant, **{k: v for k, v in program.items() if k == "rematerialise"})
    variables = net.init(jax.random.key(0))
    about = {
        "parameters": sum(leaf.size for leaf in jax.tree.leaves(variables["params"])),
        "jax": jax.__version__,
    }
    data = draw(name, batch)
    with ops.implementation(variant.get("implementation", "fast")):
        if program["train"]:
            parts = program.get("parts", 1)
            return Work(_training(net, name, variables, data, about, parts), about)
        return Work(_inference(net, variables, data, variant.get("fold", True)), about)


def _training(
    net: Model,
    name: str,
    variables: Any,
    data: dict[str, jax.Array],
    about: dict[str, Any],
    parts: int,
) -> Callable:
    optimizer, mesh = make_optimizer({"net": RATES}, 1000), data_mesh(len(data["label"]))
    state = jax.jit(lambda key, v: create_state(key, {"net": v}, optimizer))(
        jax.random.key(1), variables
    )
    step = compile_step(make_step(loss_of(net, name), optimizer, accumulate=parts), mesh)
    run = step.lower(state, data).compile()
    about["temporary_mb"] = run.memory_analysis().temp_size_in_bytes / 1e6  # the compiler's figure

    def once() -> None:
        nonlocal state
        state, metrics = run(state, data)
        jax.block_until_ready((state.params, metrics))

    return once


def _inference(net: Model, variables: Any, data: dict[str, jax.Array], fold: bool) -> Callable:
    if fold:
        variables = net.fold(variables)
    run = jax.jit(lambda v, x: net.apply(v, x, train=False)[0][0])
    run = run.lower(variables, data["x"]).compile()
    return lambda: run(variables, data["x"]).block_until_ready()
