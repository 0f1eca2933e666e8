"""Which clips of a batch are mixed with which.

Partners are drawn within groups of eight neighbours where the batch is large: clips come in random
order, so a neighbour is as good as any other, and a device that holds whole groups needs nothing
from the others. With partners from the whole batch every device would gather all its spectrograms.
The groups do not depend on the number of devices.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key

GROUP = 8
LARGE = 64  # clips in a batch; fewer are one group, for the sake of variety


def group_size(batch: int) -> int:
    """Clips in a group: neighbours in the batch, from a multiple of this number on."""
    return GROUP if batch >= LARGE and batch % GROUP == 0 else batch


def draw_partners(key: Key[Array, ""], batch: int) -> Int[Array, "batch"]:
    """A partner for each clip, each clip being the partner of one.

    Each group of a batch of several is one ring in random order, so no clip is its own partner. A
    batch that is one group is permuted, so that a clip may meet itself.
    """
    size = group_size(batch)
    if size == batch:
        return jax.random.permutation(key, batch)
    order = jnp.argsort(jax.random.uniform(key, (batch // size, size)), axis=1)
    follower = jnp.roll(order, -1, axis=1)
    within = jnp.take_along_axis(follower, jnp.argsort(order, axis=1), axis=1)
    return (within + _first(batch)[::size, None]).reshape(batch)


def neighbours(key: Key[Array, ""], batch: int, wanted: int) -> Int[Array, "batch wanted"]:
    """Picks for each clip others of its group, at random distances that are the same for all clips.

    They repeat where more are wanted than there are; only a batch of one gives a clip itself.
    """
    size = group_size(batch)
    steps = jnp.zeros(1, jnp.int32)
    if size > 1:
        steps = 1 + jax.random.permutation(key, size - 1)
    steps = steps[jnp.arange(wanted) % steps.size]
    within = (jnp.arange(batch)[:, None] % size + steps) % size
    return within + _first(batch)[:, None]


def take(x: Float[Array, "batch *shape"], places: Int[Array, "batch *more"]) -> Array:
    """Returns `x[places]`, for places in the clip's own group, `[batch, *more, *shape]`."""
    size = group_size(len(x))
    groups = len(x) // size
    if groups == 1:
        return x[places]
    within = (places % size).reshape(groups, size, *places.shape[1:])
    # One axis of the groups for all: the compiler sees that each device has what it needs.
    found = jax.vmap(lambda own, index: own[index])(x.reshape(groups, size, *x.shape[1:]), within)
    return found.reshape(*places.shape, *x.shape[1:])


def _first(batch: int) -> Int[Array, "batch"]:
    """The place in the batch of the first clip of each clip's group."""
    return jnp.arange(batch) // group_size(batch) * group_size(batch)
