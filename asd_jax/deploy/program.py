"""What is exported: a detector as one pure function of its arrays and a batch of waveforms."""

import dataclasses
import json
from collections.abc import Callable, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Int16

import asd_jax
from asd_jax.deploy import weights
from asd_jax.detector import Detector
from asd_jax.errors import UserError
from asd_jax.recipes.ensemble import branches
from asd_jax.recipes.ensemble import inference as judge
from asd_jax.recipes.ensemble.detector import EnsembleDetector
from asd_jax.recipes.ensemble.settings import Scoring
from asd_jax.recipes.pump_classifier import network as classifier_network
from asd_jax.recipes.pump_classifier.detector import ClassifierDetector

INPUTS = ("float32", "int16")
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
        """Of the waveform that goes in."""
        return np.dtype(self.about["input"])

    def feed(self, waves: Int16[np.ndarray, "clips samples"]) -> np.ndarray:
        """16-bit clips as this program takes them."""
        if self.dtype == np.int16:
            return waves
        return waves.astype(np.float32) / np.float32(32768.0)

    def text(self) -> str:
        """`about` as JSON."""
        return json.dumps(self.about, ensure_ascii=False)


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
        kind: of the waveform, one of `INPUTS`; float32 lies in [-1, 1].
        precision: of the stored weights, one of `weights.PRECISIONS`.
    """
    everything = range(len(detector.groups))
    rows = [detector.groups.index(machine)] if machine else list(everything)
    if isinstance(detector, EnsembleDetector):
        score, arrays, dropped = _ensemble(detector, rows, precision)
    elif isinstance(detector, ClassifierDetector):
        score, arrays, dropped = _classifier(detector, precision)
    else:
        raise UserError(f"detectors of the recipe {detector.config.recipe} cannot be exported.")
    named = [detector.groups[row] for row in rows]
    one = not isinstance(detector, EnsembleDetector)
    columns = [0] if one else rows
    thresholds = detector.thresholds[rows][: len(columns)].astype(np.float32)

    def run(found: Any, wave: Array) -> Verdict:
        scores = score(weights.unpack(found), wave)
        threshold = jnp.zeros_like(scores) + thresholds
        above = (scores > threshold).astype(jnp.int32)
        return scores, threshold, jnp.where(jnp.isfinite(threshold), above, -1)

    about = {
        "asd_jax": asd_jax.__version__,
        "recipe": detector.config.recipe,
        "machines": ["any"] if one else ["/".join(group).rstrip("/") for group in named],
        "sample_rate": detector.config.data.sample_rate,
        "samples": detector.samples,
        "input": kind,
        "precision": precision,
        "left_out": dropped,
    }
    return Program(run, arrays, tuple(columns), about)


def _ensemble(
    detector: EnsembleDetector, rows: Sequence[int], precision: str
) -> tuple[Callable[[Any, Array], Table], Any, list[str]]:
    """The ensemble's score of the machines at `rows`, its arrays, and the branches left out."""
    groups = [detector.groups[row] for row in rows]
    whole = detector.ensemble
    table = whole.mixing[[whole.groups.index(group) for group in groups]]
    weighed = np.asarray(table.any(axis=0))
    kept = [name for name, wanted in zip(whole.branches, weighed, strict=True) if wanted]
    tables = {name: getattr(whole, name)[:, weighed] for name in ("mean", "std", "mixing")}
    ensemble = dataclasses.replace(whole, branches=tuple(kept), **tables)
    # Only the branches count any more: weights and back-ends are in the arrays.
    config = dataclasses.replace(detector.config, scoring=Scoring(branches=tuple(kept)))
    nets, wanted = detector.nets, branches.needed(kept)
    arrays = judge.fitted(
        {name: tree for name, tree in detector.folded.items() if name in wanted},
        {name: [detector.scorers[name][row] for row in rows] for name in kept},
        ensemble,
        groups,
    )
    small = {
        name: tree if name == "normaliser" else weights.pack_network(tree, precision)
        for name, tree in arrays.variables.items()
    }
    arrays = arrays._replace(
        variables=small, scorers=weights.pack_scorers(arrays.scorers, precision)
    )
    judged = judge.make_judge(config, nets, detector.spec, ensemble)
    dropped = [name for name in whole.branches if name not in kept]
    return (lambda found, wave: judged(found, wave).score), arrays, dropped


def _classifier(
    detector: ClassifierDetector, precision: str
) -> tuple[Callable[[Any, Array], Table], Any, list[str]]:
    """The classifier's probability of an anomaly, its arrays, and no branches left out."""
    net = classifier_network.build(detector.config)
    arrays = weights.pack_network(detector.folded, precision)
    read = classifier_network.reader(detector.config, net)
    slope, offset = detector.calibration

    def score(found: Any, wave: Array) -> Table:
        value = slope * read(found, wave)["logit"] + offset
        # The logistic function from exp alone: converters' own may be coarse far from 0.
        return 1.0 / (1.0 + jnp.exp(-value))[:, None]

    return score, arrays, []
