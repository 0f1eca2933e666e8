"""The branches' features of many clips at once, for the stages that fit and evaluate."""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from asd_jax.data.loader import WaveSource
from asd_jax.features.logmel import LogMel, to_float
from asd_jax.recipes.ensemble.branches import USED, fuse, make_views, needed, seen_by
from asd_jax.recipes.ensemble.networks import Networks, clip_samples
from asd_jax.recipes.ensemble.settings import Ensemble
from asd_jax.runs.batched_apply import BatchedApply, Change
from asd_jax.train.ahead import Ahead
from asd_jax.types import Tree


class Extractor:
    """The branches' features of many clips: compiled once, for every stage that asks for them."""

    def __init__(self, config: Ensemble, nets: Networks, spec: LogMel) -> None:
        """Takes `config.eval_batch_size` clips at a time; the last are padded to as many."""
        self._seen = needed(config.scoring.branches) - {"fusion"}
        self._clip = jax.ShapeDtypeStruct((clip_samples(config),), jnp.float32)
        views = make_views(config, nets, spec, seen_by(config.scoring.branches))
        self._views = BatchedApply(views, batch_size=config.eval_batch_size)
        self._fuse = jax.jit(functools.partial(fuse, nets))

    def prepare(self, variables: Callable[[], dict[str, Tree]], ahead: Ahead) -> None:
        """Compiles beside the caller; `variables` gives their shapes and dtypes."""
        self._views.prepare(lambda: self._used(variables()), self._clip, ahead)

    def _used(self, variables: dict[str, Tree]) -> dict[str, Tree]:
        return {name: value for name, value in variables.items() if name in self._seen}

    def __call__(
        self,
        variables: dict[str, Tree],
        waves: WaveSource,
        indices: np.ndarray,
        change: Change = lambda wave, index: to_float(wave),
    ) -> dict[str, np.ndarray]:
        """Returns `[clips, dim]` arrays by branch, in the order of `indices`; fusion if trained.

        Args:
            variables: of the networks, and the normaliser.
            waves: the wave cache.
            indices: which clips.
            change: makes float waveforms of int16 ones and their indices, batch by batch.
        """
        variables = self._views.on_devices({k: variables[k] for k in variables if k in USED})

        def fused(features: dict[str, Array]) -> dict[str, Array]:
            if "fusion" not in variables:
                return features
            return features | {"fusion": self._fuse(variables, features)}

        seen = self._used(variables)
        return self._views(seen, waves, indices, change=change, then=fused, shown="features")
