"""Network operations in channels-last layout, each in the form that is fast where it runs."""

from asd_jax.models.ops.backend import implementation
from asd_jax.models.ops.convolution import conv, pointwise
from asd_jax.models.ops.depthwise import depthwise
from asd_jax.models.ops.norm import batch_norm
from asd_jax.models.ops.resample import average_pool_2x2, upsample_nearest

__all__ = [
    "average_pool_2x2",
    "batch_norm",
    "conv",
    "depthwise",
    "implementation",
    "pointwise",
    "upsample_nearest",
]
