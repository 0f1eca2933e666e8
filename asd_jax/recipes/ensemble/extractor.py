"""The branches' features of many clips at once, for the stages that fit and evaluate."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int, Int16

from asd_jax.data.loader import eval_batches
from asd_jax.features.logmel import LogMel, to_float
from asd_jax.recipes.ensemble.branches import USED, fuse, make_views, needed, seen_by
from asd_jax.recipes.ensemble.networks import Networks, clip_samples
from asd_jax.recipes.ensemble.settings import Ensemble
from asd_jax.train.ahead import Ahead
from asd_jax.train.progress import over
from asd_jax.train.sharding import data_mesh, replicated, sharded
from asd_jax.types import Tree, Waves

Change = Callable[[Int16[Array, "batch samples"], Int[Array, "batch"]], Waves]


class Extractor:
    """The branches' features of many clips: compiled once, for every stage that asks for them."""

    def __init__(self, config: Ensemble, nets: Networks, spec: LogMel) -> None:
        """Takes `config.eval_batch_size` clips at a time; the last are padded to as many."""
        self._batch_size = config.eval_batch_size
        self._seen = needed(config.scoring.branches) - {"fusion"}
        self._samples = clip_samples(config)
        # Each of several processes for itself: one may then be ahead, or have nothing to extract.
        self._mesh = data_mesh(self._batch_size, local=True)
        self._same, self._split = replicated(self._mesh), sharded(self._mesh)
        self._views = jax.jit(
            make_views(config, nets, spec, seen_by(config.scoring.branches)),
            in_shardings=(self._same, self._split),
            out_shardings=self._same,
        )
        self._fuse = jax.jit(functools.partial(fuse, nets), out_shardings=self._same)
        self._compiled: Callable[[], Any] | None = None

    def prepare(self, variables: Callable[[], dict[str, Tree]], ahead: Ahead) -> None:
        """Compiles beside the caller; `variables` gives their shapes and dtypes."""

        def lowered() -> jax.stages.Lowered:
            wave = jax.ShapeDtypeStruct((self._batch_size, self._samples), jnp.float32)
            seen = {name: value for name, value in variables().items() if name in self._seen}
            return self._views.lower(seen, wave)

        self._compiled = ahead.prepare(lowered)

    def __call__(
        self,
        variables: dict[str, Tree],
        waves: Any,
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
        variables = jax.device_put({k: variables[k] for k in variables if k in USED}, self._same)
        seen = {name: variables[name] for name in self._seen}
        views = self._compiled() if self._compiled else self._views
        changed = jax.jit(change, in_shardings=(self._split,) * 2, out_shardings=self._split)
        parts: list[dict[str, np.ndarray]] = []
        batches = eval_batches(waves, indices, batch_size=self._batch_size, sharding=self._split)
        for batch in over(batches, "features", -(-len(indices) // self._batch_size)):
            valid = np.asarray(batch["valid"])
            features = views(seen, changed(batch["wave"], batch["index"]))
            if "fusion" in variables:
                features["fusion"] = self._fuse(variables, features)
            parts.append({name: np.asarray(value)[valid] for name, value in features.items()})
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
