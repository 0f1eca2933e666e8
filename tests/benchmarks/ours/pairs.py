"""Fast forms and plain ones for the gate: small enough to compile both in seconds."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from asd_jax.features import logmel
from asd_jax.features.spectrum import power_spectrum
from asd_jax.models import ops
from tests.benchmarks.gate import Pair, Step
from tests.benchmarks.sounds import waves

Function = Callable[..., Array]


def _normal(*shape: int) -> Array:
    return jax.device_put(np.random.default_rng(0).standard_normal(shape, np.float32))


def _step(function: Function, *inputs: Array) -> Step:
    run = jax.jit(function).lower(*inputs).compile()
    return lambda: jax.block_until_ready(run(*inputs))


def _gradients(function: Function, *inputs: Array) -> Step:
    """Forward and backward with respect to every input."""

    def loss(*given: Array) -> Array:
        return jnp.square(function(*given)).mean()

    return _step(jax.value_and_grad(loss, argnums=tuple(range(len(inputs)))), *inputs)


def _both(make: Callable[[Function], Step], function: Function) -> tuple[Step, Step]:
    """The step traced in the fast form and in the lax form.

    Each is a function of its own: JAX would hand out the first trace twice.
    """
    steps = []
    for name in ("fast", "lax"):
        with ops.implementation(name):
            steps.append(make(lambda *given: function(*given)))
    return steps[0], steps[1]


def _depthwise(kernel: int, stride: int, size: tuple[int, ...]) -> tuple[Step, Step]:
    filters = _normal(kernel, kernel, 1, size[-1])
    function = functools.partial(
        ops.depthwise, stride=(stride, stride), padding=(kernel // 2, kernel // 2)
    )
    return _both(lambda f: _gradients(f, _normal(*size), filters), function)


def _convolution(size: tuple[int, ...]) -> tuple[Step, Step]:
    filters = _normal(3, 3, size[-1], 4 * size[-1])
    function = functools.partial(ops.conv, stride=(1, 1), padding=(1, 1))
    return _both(lambda f: _gradients(f, _normal(*size), filters), function)


def _plain_norm(x: Array, scale: Array, bias: Array) -> Array:
    axes = tuple(range(x.ndim - 1))
    mean = x.mean(axes)
    variance = jnp.square(x - mean).mean(axes)
    return (x - mean) * jax.lax.rsqrt(variance + 1e-5) * scale + bias


def _norm() -> tuple[Step, Step]:
    inputs = _normal(16, 56, 79, 72), _normal(72), _normal(72)
    fast = _gradients(lambda *given: ops.batch_norm(*given, 1e-5)[0], *inputs)
    return fast, _gradients(_plain_norm, *inputs)


def _upsampling() -> tuple[Step, Step]:
    x = _normal(16, 28, 39, 72)
    fast = _gradients(lambda x: ops.upsample_nearest(x, (56, 78)), x)
    return fast, _gradients(lambda x: jax.image.resize(x, (16, 56, 78, 72), "nearest"), x)


def _log_mel() -> tuple[Step, Step]:
    """Banded filters against one dense product with all of them."""
    spec = logmel.LogMel()
    wave = logmel.to_float(jax.device_put(waves(16)))
    filters = logmel.filterbank(spec).T

    def dense(wave: Array) -> Array:
        power = power_spectrum(wave, n_fft=spec.n_fft, hop_length=spec.hop_length)
        magnitude = jnp.sqrt(jnp.maximum(power, 1e-20))
        levels = [logmel.power_to_db(power @ filters), logmel.magnitude_to_db(magnitude @ filters)]
        return jnp.stack(levels, axis=-1).swapaxes(1, 2)

    return _step(lambda wave: logmel.log_mel(wave, spec=spec), wave), _step(dense, wave)


def _blocks(train: bool) -> tuple[Step, Step]:
    """The first two stages of GhostNetV2, where most of its positions are."""
    from asd_jax.models.ghostnet import STAGES, GhostNetV2
    from asd_jax.models.model import wrap

    net = wrap(GhostNetV2(stages=STAGES[:2], embed_dim=0, head=64), (1, 112, 156, 2))
    variables, x = net.init(jax.random.key(0)), _normal(8, 112, 156, 2)

    def run(variables: Any, x: Array) -> Array:
        return net.apply(variables, x, train=train)[0][0]

    def make(function: Function) -> Step:
        if not train:
            return _step(function, variables, x)
        loss = lambda v: jnp.square(function(v, x)).mean()  # noqa: E731
        params = {"params": variables["params"], "batch_stats": variables["batch_stats"]}
        return _step(jax.value_and_grad(loss), params)

    return _both(make, run)


PAIRS = (
    Pair("depthwise 3x3, forward and backward", lambda: _depthwise(3, 1, (8, 56, 79, 36)), 2.5, 7),
    Pair("depthwise 5x5 by 2", lambda: _depthwise(5, 2, (8, 56, 79, 36)), 4, 15),
    Pair("convolution 3x3, backward", lambda: _convolution((8, 56, 56, 48)), 0.8, 1.5),
    Pair("BatchNorm", _norm, 1, 2),
    Pair("upsampling", _upsampling, 1.5, 7),
    Pair("log-mel", _log_mel, 0.9, 1.3),
    Pair("GhostNetV2's first blocks, training", lambda: _blocks(True), 2.5, 6),
    Pair("GhostNetV2's first blocks, inference", lambda: _blocks(False), 2.5, 7),
)
