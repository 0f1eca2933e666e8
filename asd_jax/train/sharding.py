"""One mesh for one device or many: the only file that knows about axis types."""

import math

import jax
from absl import logging
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec


def data_mesh(batch_size: int) -> Mesh:
    """A mesh of one axis, `data`, over as many devices as divide `batch_size`.

    The axis is Auto: under Explicit, the default of newer releases, a permutation of the batch
    (mixup) and the dropout masks of linen are refused.
    """
    devices = jax.devices()
    used = len(devices) if jax.process_count() > 1 else math.gcd(len(devices), batch_size)
    if used < len(devices):
        logging.warning(
            "A batch of %d is shared by %d of the %d devices.", batch_size, used, len(devices)
        )
    return jax.make_mesh((used,), ("data",), axis_types=(AxisType.Auto,), devices=devices[:used])


def replicated(mesh: Mesh) -> NamedSharding:
    """Every device holds the whole array."""
    return NamedSharding(mesh, PartitionSpec())


def sharded(mesh: Mesh) -> NamedSharding:
    """The leading axis of the array is split over the devices."""
    return NamedSharding(mesh, PartitionSpec("data"))
