"""One mesh for one device or many: the only file that knows about axis types."""

import contextlib
import contextvars
import math
from collections.abc import Callable, Iterator
from typing import Any

import jax
from absl import logging
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

_mesh: contextvars.ContextVar[Mesh | None] = contextvars.ContextVar("mesh", default=None)


def data_mesh(batch_size: int, *, local: bool = False) -> Mesh:
    """A mesh of one axis, `data`, over as many devices as divide `batch_size`.

    Training uses the devices of all processes; what `local` is for, those of this one alone.

    The axis is Auto: under Explicit, the default of newer releases, a permutation of the batch
    (mixup) and the dropout masks of linen are refused.
    """
    devices = jax.local_devices() if local else jax.devices()
    alone = local or jax.process_count() == 1
    used = math.gcd(len(devices), batch_size) if alone else len(devices)
    if used < len(devices):
        logging.warning(
            "A batch of %d is shared by %d of the %d devices.", batch_size, used, len(devices)
        )
    return jax.make_mesh((used,), ("data",), axis_types=(AxisType.Auto,), devices=devices[:used])


def runs_mesh(runs: int) -> Mesh:
    """A mesh of one axis, `runs`, over as many devices as so many runs share evenly."""
    devices = jax.devices()
    used = math.gcd(len(devices), runs)
    if used < len(devices):
        logging.warning("%d runs are shared by %d of the %d devices.", runs, used, len(devices))
    return jax.make_mesh((used,), ("runs",), axis_types=(AxisType.Auto,), devices=devices[:used])


def by_run(mesh: Mesh) -> NamedSharding:
    """The leading axis, of runs, is split over the devices."""
    return NamedSharding(mesh, PartitionSpec("runs"))


def replicated(mesh: Mesh) -> NamedSharding:
    """Every device holds the whole array."""
    return NamedSharding(mesh, PartitionSpec())


def sharded(mesh: Mesh) -> NamedSharding:
    """The leading axis of the array is split over the devices."""
    return NamedSharding(mesh, PartitionSpec("data"))


@contextlib.contextmanager
def traced_for(mesh: Mesh) -> Iterator[None]:
    """Tells `by_clip` inside the block over which devices the batch will be split."""
    token = _mesh.set(mesh)
    try:
        yield
    finally:
        _mesh.reset(token)


def by_clip(function: Callable[..., Any]) -> Callable[..., Any]:
    """Has each device run `function` on its own clips, where a step is traced for several.

    XLA parts most operations of a batch by itself, but not Fourier transforms: every device would
    gather the waveforms of all and transform the whole batch (openxla/xla issue 24).

    Args:
        function: of arrays with a leading batch axis, to such arrays; no clip sees another.
    """
    mesh = _mesh.get()
    if mesh is None or mesh.size == 1:
        return function
    rows = PartitionSpec("data")
    return jax.shard_map(function, mesh=mesh, in_specs=rows, out_specs=rows, check_vma=False)
