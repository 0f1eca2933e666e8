"""Our front end: int16 waveforms on the device to log-mel spectrograms on the device."""

from typing import Any

import jax
import numpy as np

from asd_jax.features.logmel import LogMel, log_mel, to_float
from tests.benchmarks.protocol import Work
from tests.benchmarks.sounds import waves


def build(variant: dict[str, Any], program: dict[str, Any]) -> Work:
    """Channels 'power' or both, of a batch."""
    spec = LogMel(channels=LogMel.channels[: program["channels"]])
    batch = jax.device_put(waves(program["batch"]))
    run = jax.jit(lambda wave: log_mel(to_float(wave), spec=spec)).lower(batch).compile()
    return Work(
        lambda: run(batch).block_until_ready(),
        {"jax": jax.__version__},
        lambda: {"level": np.asarray(run(batch)[0])},
    )
