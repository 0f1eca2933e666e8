"""Network operations in channels-last layout, each in the form that is fast where it runs."""

from asd_jax.models.ops.convolution import conv as conv
from asd_jax.models.ops.depthwise import depthwise as depthwise
from asd_jax.models.ops.norm import batch_norm as batch_norm
from asd_jax.models.ops.norm import identity as identity
from asd_jax.models.ops.resample import average_pool_2x2 as average_pool_2x2
from asd_jax.models.ops.resample import upsample_nearest as upsample_nearest
from asd_jax.target import implementation as implementation
