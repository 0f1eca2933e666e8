"""The layers that the networks share. Channels last; no bias where BatchNorm follows."""

from collections.abc import Callable, Mapping
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jaxtyping import Array, Float

from asd_jax import target
from asd_jax.errors import UserError
from asd_jax.models import ops
from asd_jax.models.initialise import kernel_init
from asd_jax.types import AnyMaps, Pair

Channels = Float[Array, "channels"]
Activation = Callable[[Array], Array] | None
Padding = Pair | Literal["same"] | None

# Flax's momentum is the share of the *old* statistics: 0.9 here is 0.1 in PyTorch.
MOMENTUM = 0.9
EPSILON = 1e-5


class BatchNorm(nn.Module):
    """Normalisation over batch and positions (Ioffe and Szegedy 2015), by the constants above.

    The statistics are those of the whole batch, on one device or many. The running variance is the
    biased one; PyTorch keeps n / (n - 1) of it.

    Attributes:
        epsilon: added to the variance.
        momentum: share of the old statistics in the running ones.
        use_bias: learn a summand for each channel.
        use_scale: learn a factor for each channel.
        dtype: of the result; None for that of the input.
        activation: of the result; see `ops.batch_norm` for why it is not a step of its own.
    """

    epsilon: float = EPSILON
    momentum: float = MOMENTUM
    use_bias: bool = True
    use_scale: bool = True
    dtype: Any = None
    activation: Activation = None

    @nn.compact
    def __call__(self, x: Array, *, train: bool) -> Array:
        """Normalises `[batch, ..., channels]` by the batch in training, else by the averages."""
        size = (x.shape[-1],)
        mean = self.variable("batch_stats", "mean", jnp.zeros, size)
        var = self.variable("batch_stats", "var", jnp.ones, size)
        ones, zeros = nn.initializers.ones, nn.initializers.zeros
        scale = self.param("scale", ones, size) if self.use_scale else jnp.ones(size)
        bias = self.param("bias", zeros, size) if self.use_bias else jnp.zeros(size)
        x = x.astype(self.dtype or x.dtype)
        activation = self.activation or ops.identity
        if not train:
            factor, shift = affine(scale, bias, mean.value, var.value, self.epsilon)
            return activation(x * factor + shift).astype(x.dtype)
        y, *batch = ops.batch_norm(x, scale, bias, self.epsilon, activation)
        if not self.is_initializing():
            for running, new in zip((mean, var), batch, strict=True):
                running.value = self.momentum * running.value + (1 - self.momentum) * new
        return y


def affine(
    scale: Channels, bias: Channels, mean: Channels, var: Channels, epsilon: float
) -> tuple[Channels, Channels]:
    """Returns BatchNorm outside training as (factor, shift): x * factor + shift."""
    factor = scale * jax.lax.rsqrt(var + epsilon)
    return factor, bias - mean * factor


def leaky_relu(x: Float[Array, "*any"]) -> Float[Array, "*any"]:
    """LeakyReLU with PyTorch's slope 0.01."""
    if target.platform() == "onnx":  # onnxruntime chooses element by element, which is slow
        return jnp.maximum(x, 0.01 * x)
    return jnp.where(x >= 0, x, 0.01 * x)


def relu(x: Float[Array, "*any"]) -> Float[Array, "*any"]:
    """Returns max(x, 0), with the gradient 0 at 0."""
    return jax.nn.relu(x)


class Conv(nn.Module):
    """Full convolution without bias.

    Attributes:
        features: output channels.
        kernel: its size along height and width.
        stride: steps along height and width.
        padding: zeros on both sides; None for half the kernel's size, as PyTorch's networks pad;
            "same" for TensorFlow's, which has one more on the far side where the number is odd.
        dtype: what it computes in; the parameters stay float32.
    """

    features: int
    kernel: Pair = (1, 1)
    stride: Pair = (1, 1)
    padding: Padding = None
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: AnyMaps) -> AnyMaps:
        """Maps `[batch, height, width, channels]` to `[batch, out_h, out_w, features]`."""
        shape = (*self.kernel, x.shape[-1], self.features)
        kernel = self.param("kernel", kernel_init, shape, jnp.float32)
        return convolve(x, kernel, self.stride, self.padding, self.dtype)


class Depthwise(nn.Module):
    """One filter a channel, without bias; attributes as `Conv`."""

    kernel: Pair = (3, 3)
    stride: Pair = (1, 1)
    padding: Padding = None
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: AnyMaps) -> AnyMaps:
        """Maps `[batch, height, width, channels]` to `[batch, out_h, out_w, channels]`."""
        kernel = self.param("kernel", kernel_init, (*self.kernel, 1, x.shape[-1]), jnp.float32)
        return convolve(x, kernel, self.stride, self.padding, self.dtype, depthwise=True)


def convolve(
    x: AnyMaps,
    kernel: Array | np.ndarray,  # variables read from a file may be NumPy's
    stride: Pair,
    padding: Padding,
    dtype: Any,
    *,
    depthwise: bool = False,
) -> AnyMaps:
    """The convolution of `Conv` or `Depthwise`, computed in `dtype`.

    The kernel is `[kernel_h, kernel_w, channels, features]`, of one channel where depthwise.
    """
    x, both = _padded(x, (kernel.shape[0], kernel.shape[1]), stride, padding)
    form = ops.depthwise if depthwise else ops.conv
    return form(x.astype(dtype), jnp.asarray(kernel, dtype), stride=stride, padding=both)


class ConvBN(nn.Module):
    """Convolution, BatchNorm and an activation; depthwise where `features` is None.

    Outside training, BatchNorm's averages can go into the filters beforehand: it then takes what
    `fold` makes of its variables, in the collection "folded", instead of them.
    """

    features: int | None
    kernel: Pair = (1, 1)
    stride: Pair = (1, 1)
    padding: Padding = None
    activation: Activation = None
    epsilon: float = EPSILON
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: AnyMaps, *, train: bool) -> AnyMaps:
        """Maps `[batch, height, width, channels]` to `[batch, out_h, out_w, features]`."""
        activation = self.activation or ops.identity
        if not train and self.has_variable("folded", "kernel"):
            return activation(self._folded(x))
        shape = {"kernel": self.kernel, "stride": self.stride, "padding": self.padding}
        if self.features is None:
            x = Depthwise(**shape, dtype=self.dtype, name="conv")(x)
        else:
            x = Conv(self.features, **shape, dtype=self.dtype, name="conv")(x)
        norm = {"epsilon": self.epsilon, "dtype": self.dtype, "activation": activation}
        return BatchNorm(**norm, name="bn")(x, train=train)

    def _folded(self, x: AnyMaps) -> AnyMaps:
        kernel, shift = (self.get_variable("folded", name) for name in ("kernel", "shift"))
        depthwise = self.features is None
        x = convolve(x, kernel, self.stride, self.padding, self.dtype, depthwise=depthwise)
        return x + shift.astype(self.dtype)


def fold(
    params: Mapping[str, Any], averages: Mapping[str, Any], epsilon: float
) -> dict[str, np.ndarray]:
    """Folds a `ConvBN` into `kernel` `[h, w, channels, features]` and `shift` `[features]`.

    On the host: `affine` is the same for a program.
    """
    arrays = {**params["bn"], **averages["bn"]}
    scale, bias, mean, var = (np.asarray(arrays[k]) for k in ("scale", "bias", "mean", "var"))
    factor = scale / np.sqrt(var + np.float32(epsilon))
    kernel = np.asarray(params["conv"]["kernel"])
    return {"kernel": kernel * factor, "shift": bias - mean * factor}


def run_block(
    block: nn.Module, x: Array, *arguments: Any, train: bool, rematerialise: bool
) -> Array:
    """Calls `block(x, *arguments, train=train)`; if asked, keeps only x for its gradient.

    The backward pass then computes the block's maps again. x is `[batch, height, width, channels]`.
    """
    if not (train and rematerialise):
        return block(x, *arguments, train=train)
    again = nn.remat(lambda module, x: module(x, *arguments, train=train))
    return again(block, x)


class SqueezeExcite(nn.Module):
    """Channel attention: channel means, two dense layers, a gate for each channel (Hu et al. 2018).

    Attributes:
        squeezed: width of the hidden layer.
        gate: what maps the second layer's output to a weight.
        activation: of the hidden layer.
    """

    squeezed: int
    gate: Callable[[Array], Array] = jax.nn.sigmoid
    activation: Callable[[Array], Array] = relu
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: AnyMaps) -> AnyMaps:
        """Scales each channel of each example; the shape stays."""
        means = x.mean(axis=(1, 2), dtype=jnp.float32)
        hidden = self.activation(dense(self.squeezed, name="reduce", dtype=self.dtype)(means))
        weights = self.gate(dense(x.shape[-1], name="expand", dtype=self.dtype)(hidden))
        return x * weights[:, None, None, :].astype(x.dtype)


class PReLU(nn.Module):
    """max(x, 0) + slope * min(x, 0) with a learned slope for each channel, 0.25 at first."""

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """Works on `[..., channels]`; the shape stays."""
        slope = self.param("slope", nn.initializers.constant(0.25), (x.shape[-1],), jnp.float32)
        return jnp.where(x >= 0, x, slope.astype(x.dtype) * x)


def dense(
    features: int, *, name: str | None, dtype: Any = jnp.float32, bias: bool = True
) -> nn.Dense:
    """A dense layer with PyTorch's default initialisation of the weights; its bias starts at 0."""
    return nn.Dense(features, use_bias=bias, kernel_init=kernel_init, dtype=dtype, name=name)


def centred(
    x: Float[Array, "batch dim"], *, train: bool, name: str = "embedding_norm"
) -> Float[Array, "batch dim"]:
    """An embedding centred and scaled by a BatchNorm that learns neither bias nor scale."""
    return BatchNorm(use_bias=False, use_scale=False, name=name)(x, train=train)


def classify(
    x: AnyMaps, intermediates: dict[str, Array], outputs: int, dropout: float, *, train: bool
) -> tuple[Float[Array, "batch dim"], dict[str, Array]]:
    """The end of a classifier: mean over positions, dropout, a linear layer.

    Args:
        x: the last maps.
        intermediates: gets the mean as `embedding`, `[batch, channels]`.
        outputs: logits `[batch, outputs]`; 0 for the embedding in their place.
        dropout: before the linear layer, in training.
        train: mode.
    """
    intermediates["embedding"] = x = x.mean(axis=(1, 2), dtype=jnp.float32)
    if outputs:
        x = nn.Dropout(dropout, deterministic=not train)(x)
        x = dense(outputs, name="classifier")(x)
    return x, intermediates


def drop_path(
    module: nn.Module, x: AnyMaps, rate: Float[Array, ""] | float, *, train: bool
) -> AnyMaps:
    """Stochastic depth (Huang 2016): drops a whole example's residual branch in training.

    Args:
        module: the module that asks, for its "dropout" random numbers.
        x: the branch.
        rate: probability to drop it; what stays is divided by 1 - rate.
        train: mode; otherwise x is returned.
    """
    if not train or (isinstance(rate, float) and rate == 0):
        return x
    keep = 1 - jnp.asarray(rate, jnp.float32)
    kept = jax.random.bernoulli(module.make_rng("dropout"), keep, (x.shape[0], 1, 1, 1))
    return x * (kept / keep).astype(x.dtype)


def check_channels(x: AnyMaps, channels: int) -> None:
    """Raises UserError unless the maps have so many channels."""
    if x.shape[-1] != channels:
        raise UserError(
            f"the network was built for in_channels={channels} but its input has {x.shape[-1]}; "
            "set in_channels to the number of feature channels."
        )


def round_channels(channels: float, divisor: int = 4) -> int:
    """The nearest multiple of `divisor`, never below 90 % of `channels` (as the MobileNets do)."""
    rounded = max(divisor, int(channels + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * channels else rounded


def _padded(x: Array, kernel: Pair, stride: Pair, padding: Padding) -> tuple[Array, Pair]:
    """The maps and what is still to be padded on both of their sides."""
    if padding is None:
        return x, (kernel[0] // 2, kernel[1] // 2)
    if padding != "same":
        return x, padding
    total = [
        max(0, (-(-n // s) - 1) * s + k - n)
        for n, k, s in zip(x.shape[1:3], kernel, stride, strict=True)
    ]
    if all(n % 2 == 0 for n in total):
        return x, (total[0] // 2, total[1] // 2)
    sides = [(n // 2, n - n // 2) for n in total]
    return jnp.pad(x, ((0, 0), *sides, (0, 0))), (0, 0)
