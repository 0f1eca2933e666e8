"""Weights drawn from their names: the same in a golden script and, years later, in a test."""

import zlib

import numpy as np


def seeded(name: str, shape: tuple[int, ...], gain: float) -> np.ndarray:
    """The tensor `name` of a PyTorch state dict; `gain` is that of each convolution's output."""
    rng = np.random.default_rng([zlib.crc32(name.encode()), *shape])
    kind = name.rsplit(".", 1)[-1]
    if kind == "num_batches_tracked":
        return np.zeros(shape, np.int64)
    if kind == "running_var" or (kind == "weight" and len(shape) == 1):
        return rng.uniform(0.6, 1.2, shape).astype(np.float32)
    if len(shape) < 2:
        return (0.1 * rng.standard_normal(shape)).astype(np.float32)
    fan_in = np.prod(shape[1:])
    return (rng.standard_normal(shape) * np.sqrt(gain / fan_in)).astype(np.float32)


def seeded_state(
    names: list[str], shapes: list[tuple[int, ...]], gain: float
) -> dict[str, np.ndarray]:
    """A whole state dict."""
    return {name: seeded(name, shape, gain) for name, shape in zip(names, shapes, strict=True)}


def image(shape: tuple[int, ...]) -> np.ndarray:
    """A network's input, channels last."""
    return np.random.default_rng(shape).standard_normal(shape).astype(np.float32)


def sample(maps: np.ndarray, count: int = 32) -> np.ndarray:
    """Some values of a block's output (channels last), spread over all of its axes."""
    flat = maps.reshape(-1)
    return flat[np.linspace(0, flat.size - 1, min(count, flat.size)).astype(int)]
