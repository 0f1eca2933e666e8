"""A function of many clips: of each clip once, in the order asked for, whatever the batches."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from asd_jax.runs.batched_apply import BatchedApply
from asd_jax.train.ahead import Ahead

VALUES = np.arange(28, dtype=np.int16).reshape(7, 4)


class Waves:
    def __len__(self):
        return len(VALUES)

    def gather(self, indices):
        return VALUES[indices]


def read(variables, wave):
    return {"sum": variables["scale"] * wave.sum(axis=1)}


@pytest.mark.parametrize("ahead", [False, True])
@pytest.mark.parametrize("indices", [[5, 0, 6, 2, 2], [3], [0, 1, 2, 3]])
def test_each_clip_is_read_in_the_order_asked_for(ahead, indices):
    apply = BatchedApply(read, batch_size=4)
    if ahead:
        compiling = Ahead()
        shapes = {"scale": jax.ShapeDtypeStruct((), jnp.float32)}
        apply.prepare(lambda: shapes, jax.ShapeDtypeStruct((4,), jnp.int16), compiling)
        compiling.close()
    for scale in (2.0, 3.0):
        found = apply({"scale": np.float32(scale)}, Waves(), np.array(indices))
        np.testing.assert_array_equal(found["sum"], scale * VALUES[indices].sum(axis=1))


def test_clips_are_changed_before_it_and_readings_after_it():
    found = BatchedApply(read, batch_size=2)(
        {"scale": np.float32(1)},
        Waves(),
        np.array([4, 1, 2]),
        change=lambda wave, index: jnp.ones(wave.shape) * index[:, None],
        then=lambda found: found | {"twice": 2 * found["sum"]},
    )
    assert found["sum"].tolist() == [16, 4, 8] and found["twice"].tolist() == [32, 8, 16]
