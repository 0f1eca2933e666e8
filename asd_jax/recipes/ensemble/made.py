"""Made faults to see and to hear: one held-out healthy clip with each of them, for the report."""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Key

from asd_jax.data.samples import to_int16
from asd_jax.features import host
from asd_jax.features.logmel import to_float
from asd_jax.recipes.ensemble import learned
from asd_jax.recipes.ensemble.detector import EnsembleDetector
from asd_jax.recipes.ensemble.stages import EnsembleRun
from asd_jax.report.contents import MadeFault

SECONDS = 2.0  # of the clip: enough for two clicks of the slowest, and the page stays small


def made_faults(
    run: EnsembleRun,
    key: Key[Array, ""],
    detector: EnsembleDetector,
    heard: Mapping[str, Bool[np.ndarray, "clips"]],
) -> tuple[MadeFault, ...]:
    """The clip as it is, then with each of `learned.FAULTS`; () where no clip was held out.

    Args:
        run: that has made the detector.
        key: of `learned.heard_features`, whose faults these are.
        detector: of the run.
        heard: by made fault, whether each clip with it is above its threshold.
    """
    few = run.corpus.held_out[learned.chosen(len(run.corpus.held_out))]
    if not len(few) or not heard:
        return ()
    known = [(n, fault) for n, fault in enumerate(learned.FAULTS) if learned.name(*fault) in heard]
    at = typical(np.stack([heard[learned.name(*fault)] for _, fault in known]))
    rate = run.config.data.sample_rate
    # All of them, though one is shown: the program is compiled for so many.
    waves = to_float(jnp.asarray(run.corpus.waves.gather(few)))
    found = [_shown(detector, np.asarray(waves[at]))]
    for number, (kind, strength) in known:
        keys = jax.random.split(jax.random.fold_in(key, number), len(few))
        changed = np.asarray(learned.changed(keys, waves, strength, kind, rate)[at])
        said = learned.words(kind, strength)
        is_heard = bool(heard[learned.name(kind, strength)][at])
        found.append(_shown(detector, changed, *said, is_heard))
    return tuple(found)


def typical(heard: Bool[np.ndarray, "faults clips"]) -> int:
    """The clip whose faults are heard as those of most clips are."""
    return int(np.abs(heard - heard.mean(axis=1, keepdims=True)).sum(axis=0).argmin())


def _shown(
    detector: EnsembleDetector,
    wave: Float[np.ndarray, " samples"],
    fault: str = "",
    strength: str = "",
    heard: bool | None = None,
) -> MadeFault:
    sound = to_int16(wave[: round(SECONDS * detector.spec.sample_rate)])
    level = host.level(sound, detector.spec)
    return MadeFault(fault, strength, heard, level, sound, detector.spec.sample_rate)
