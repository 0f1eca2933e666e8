"""Weights from elsewhere: timm's state dicts in safetensors files. No torch is needed."""

import json
import math
import pathlib
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
from flax import traverse_util

from asd_jax.errors import UserError, detail
from asd_jax.models.timm_names import MODULES
from asd_jax.types import Tree

State = Mapping[str, np.ndarray]

LEAVES = {
    "kernel": "weight",
    "scale": "weight",
    "bias": "bias",
    "mean": "running_mean",
    "var": "running_var",
}
IMAGE_CHANNELS = 3
# What a file that is none, or of numbers that NumPy lacks, makes safetensors raise.
_DAMAGE = (ValueError, KeyError, TypeError, AttributeError, OSError, OverflowError, MemoryError)


def load_safetensors(path: str | pathlib.Path) -> dict[str, np.ndarray]:
    """The tensors of a .safetensors file by name.

    Raises:
        UserError: where the file is absent or is not a safetensors file.
    """
    import safetensors
    import safetensors.numpy

    if not pathlib.Path(path).is_file():
        raise UserError(f"there is no file {path}; give the path of a .safetensors file.")
    try:
        return safetensors.numpy.load_file(path)
    except (safetensors.SafetensorError, *_DAMAGE) as error:
        raise UserError(f"{path} is not a readable .safetensors file: {detail(error)}.") from error


def check_padding(name: str, path: str | pathlib.Path) -> None:
    """Refuses weights that were trained with another padding than our EfficientNets have.

    timm has each EfficientNet twice, with the same names and shapes of tensors: `tf_` networks pad
    as TensorFlow does and have its BatchNorm constants, as ours; the others pad on both sides and
    have PyTorch's, and load into ours without an error and with other outputs. Which it is stands
    in the file's name, or in the `config.json` that timm keeps beside its weights.

    Args:
        name: of our network.
        path: of the weights.

    Raises:
        UserError: they are of the other kind, or nothing tells.
    """
    if not name.startswith("efficientnet"):
        return
    path = pathlib.Path(path)
    found_name = _architecture(path.with_name("config.json")) or path.name
    if found_name.startswith("tf_"):
        return
    raise UserError(
        f"config.init_from: {path} is not known to hold timm's tf_{name}, but {found_name!r}. "
        f"Networks without tf_ in their name pad otherwise and would give other outputs here. Take "
        f"tf_{name}.*, and keep timm's config.json beside it or begin the file's name with tf_."
    )


def _architecture(path: pathlib.Path) -> str:
    """The network that timm's config.json names; '' where it names none."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return ""
    return str(found.get("architecture", "")) if isinstance(found, dict) else ""


def from_timm(name: str, state: State, variables: Tree) -> Tree:
    """The variables of one of our networks with the weights of timm's network of that name.

    - The classifier is taken where its size fits and otherwise stays as it is, as does attention
      that timm's network does not have (all but squeeze-and-excitation).
    - Where the input has other than three channels the first kernel is adapted as timm does:
      summed over its channels for one; else repeated to the number of channels, the surplus cut
      off, and scaled by 3 / channels, which keeps the response to channels that are all alike.

    Args:
        name: a key of `CLASSIFIERS` or of `BACKBONES` that `MODULES` knows.
        state: tensors by timm's names.
        variables: of the network; gives shapes and what is kept.

    Raises:
        UserError: naming the first tensor that is missing, has the wrong shape or is left over.
    """
    if name not in MODULES:
        raise UserError(
            f"there is no map of timm's weights to {name!r}; known: {', '.join(MODULES)}."
        )
    plain = jax.device_get(dict(variables))
    modules = MODULES[name](plain["params"])
    state = {key: value for key, value in state.items() if not key.endswith("num_batches_tracked")}
    flat: dict[tuple[str, ...], Any] = dict(traverse_util.flatten_dict(plain))
    used: set[str] = set()
    for path, value in flat.items():
        module = modules.names.get(path[1:-1])
        if module is None:
            continue
        tensor = f"{module}.{LEAVES[path[-1]]}"
        used.add(tensor)
        if path[1] == "classifier" and _shape(state, tensor) != _theirs(value):
            continue
        if tensor not in state:
            raise UserError(f"the weights have no tensor {tensor!r}, which {name} needs.")
        array = state[tensor]
        if path[1:] == modules.first:
            array = adapt_input(array, value.shape[-2])
        flat[path] = _fitted(name, tensor, array, value)
    left = [key for key in state if key not in used and not key.startswith(modules.ignored)]
    if left:
        raise UserError(f"the weights have a tensor {left[0]!r}, which {name} has no place for.")
    loaded = traverse_util.unflatten_dict(flat)
    loaded = {**plain, **loaded}  # an empty collection has no leaves
    return jax.device_put(loaded)


def adapt_input(kernel: np.ndarray, channels: int) -> np.ndarray:
    """A kernel `[features, 3, taps_h, taps_w]` for inputs of other than three channels."""
    if kernel.ndim != 4 or kernel.shape[1] == channels or kernel.shape[1] != IMAGE_CHANNELS:
        return kernel
    if channels == 1:
        return kernel.sum(axis=1, keepdims=True)
    times = math.ceil(channels / IMAGE_CHANNELS)
    return np.tile(kernel, (1, times, 1, 1))[:, :channels] * (IMAGE_CHANNELS / channels)


def _fitted(name: str, tensor: str, array: np.ndarray, value: Any) -> Any:
    """The tensor in our layout: channels last, dense kernels as (in, out)."""
    if array.ndim == 4 and value.ndim == 2 and array.shape[2:] == (1, 1):
        array = array[:, :, 0, 0]
    array = array.transpose(2, 3, 1, 0) if array.ndim == 4 else array.T
    if array.shape != value.shape:
        raise UserError(
            f"tensor {tensor!r} has the shape {array.shape} in our layout, but {name} needs "
            f"{tuple(value.shape)}; are width, depth and stages those of the file?"
        )
    return np.asarray(array, value.dtype)


def _shape(state: State, tensor: str) -> tuple[int, ...] | None:
    return state[tensor].shape if tensor in state else None


def _theirs(value: Any) -> tuple[int, ...]:
    """The shape in PyTorch of a dense layer's kernel or bias."""
    return tuple(value.shape[::-1])
