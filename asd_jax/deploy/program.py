"""What is exported: a detector as one pure function of its arrays and a batch of waveforms."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Int16

import asd_jax
from asd_jax.deploy import weights
from asd_jax.detector import Detector

OUTPUTS = ("score", "threshold", "decision")
Table = Float[Array, "batch machines"]
Verdict = tuple[Table, Table, Int[Array, "batch machines"]]


@dataclasses.dataclass(frozen=True)
class Program:
    """A detector ready to be written.

    Attributes:
        run: `run(arrays, wave) -> (score, threshold, decision)`, each `[batch, machines]`, pure. A
            decision is 1 above the threshold, 0 up to it, -1 where there is none.
        arrays: all that it computes with.
        rows: which columns of the live detector's `each_score` the machines are.
        about: what a reader of the file should know, JSON.
    """

    run: Callable[[Any, Array], Verdict]
    arrays: Any
    rows: tuple[int, ...]
    about: dict[str, Any]

    @property
    def samples(self) -> int:
        """Samples of one clip."""
        return self.about["samples"]

    @property
    def dtype(self) -> np.dtype:
        """Returns the dtype of the waveform that goes in."""
        return np.dtype(self.about["input"])

    def feed(self, waves: Int16[np.ndarray, "clips samples"]) -> np.ndarray:
        """Converts 16-bit clips to the input of this program, `[clips, samples]` too."""
        if self.dtype == np.int16:
            return waves
        return waves.astype(np.float32) / np.float32(32768.0)


def make_program(
    detector: Detector,
    *,
    machine: tuple[str, str] | None = None,
    kind: str = "float32",
    precision: str = "float32",
) -> Program:
    """The program of a detector, of whichever recipe.

    Branches without a weight in any wanted machine's score are not in it, nor are the networks that
    only they need.

    Args:
        detector: from `asd_jax.detector.load_detector`.
        machine: (type, ID) of the only machine wanted; None: all. A classifier has one score,
            whichever machine it is.
        kind: of the waveform, float32 or int16; float32 lies in [-1, 1].
        precision: of the stored weights, see `weights.Packing`.
    """
    everything = range(len(detector.groups))
    rows = [detector.groups.index(machine)] if machine else list(everything)
    score, arrays, dropped = detector.program(rows, weights.Packing(precision))
    named = ["/".join(detector.groups[row]).rstrip("/") for row in rows]
    columns = [0] if detector.any_machine else rows
    thresholds = detector.thresholds[rows][: len(columns)].astype(np.float32)

    def run(found: Any, wave: Array) -> Verdict:
        scores = score(weights.unpack(found), wave)
        threshold = jnp.zeros_like(scores) + thresholds
        above = (scores > threshold).astype(jnp.int32)
        return scores, threshold, jnp.where(jnp.isfinite(threshold), above, -1)

    about = {
        "asd_jax": asd_jax.__version__,
        "recipe": detector.config.recipe,
        "machines": ["any"] if detector.any_machine else named,
        "sample_rate": detector.config.data.sample_rate,
        "samples": detector.samples,
        "input": kind,
        "precision": precision,
        "left_out": dropped,
    }
    return Program(run, arrays, tuple(columns), about)
