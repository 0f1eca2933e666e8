"""The names that the package gives to shapes and pairs: each means one thing everywhere."""

from typing import Any

from jaxtyping import Array, Float, Int16

Tree = Any  # a pytree of arrays: parameters, statistics, an optimizer's state
Variables = dict[str, Tree]  # of networks (and what else is learned) by name
Group = tuple[str, str]  # machine type and machine ID: one set of scorers, one threshold
Pair = tuple[int, int]  # of two spatial axes

Waves = Float[Array, "batch samples"]  # full scale at 1
RawWaves = Int16[Array, "batch samples"] | Waves  # as recordings hold them; `to_float` reads both
Maps = Float[Array, "batch height width channels"]
AnyMaps = Float[Array, "batch _height _width _channels"]  # input and output may differ in size
BranchFeatures = dict[str, Float[Array, "batch dim"]]
