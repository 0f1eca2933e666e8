"""What the branch that adds most to a clip's score has heard, in words and as a band."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float, Int16

from asd_jax.features import host
from asd_jax.features.logmel import mel_frequencies
from asd_jax.features.modulation import EDGES, short_frames
from asd_jax.features.views import RHYTHM_BANDS, RHYTHM_FRAMES, VIEWS, view_sizes
from asd_jax.recipes.ensemble.backends import BRANCHES
from asd_jax.report.contents import Heard
from asd_jax.report.why import edges, hertz
from asd_jax.scoring.scorers.views import SHARPNESS, SMALLEST, Views

if TYPE_CHECKING:
    from asd_jax.recipes.ensemble.detector import EnsembleDetector

_SAID = {"mean": "mean level is", "power": "power is"}
_SAID |= {"loud": "loud moments are", "quiet": "quiet moments are"}
_STATISTICS = "statistics of the spectrum"


def heard(
    detector: "EnsembleDetector",
    wave: Int16[np.ndarray, " samples"],
    row: Mapping[str, Any],
    group: int,
) -> Heard | None:
    """What has made a clip's score; None where no branch is above what is normal.

    Args:
        detector: that has scored the clip.
        wave: the clip.
        row: of it, with the raw scores of the branches.
        group: its machine.
    """
    whole = detector.ensemble
    at = whole.groups.index(detector.groups[group])
    raw = np.array([row.get(f"score_{name}", np.nan) for name in whole.branches], np.float64)
    away = raw - whole.mean[at]
    if whole.rule != "literal":
        away = away / whole.std[at]
    added = np.maximum(np.nan_to_num(whole.mixing[at] * away), 0.0)
    if not added.any():
        return None
    branch = whole.branches[int(added.argmax())]
    share = float(added.max() / added.sum())
    said = _STATISTICS if branch == "statistics" else BRANCHES[branch]
    wanted = VIEWS if branch == "statistics" else ()
    if branch == "temporal" and detector.config.temporal.name == "modulation":
        wanted = ("rhythm",)  # what the network hears, in the statistics' terms
    pool = detector.config.statistics.pool
    if not wanted or "statistics" not in detector.scorers or pool != "views":
        return Heard(said, share)
    scorer = detector.scorers["statistics"][group]
    if not isinstance(scorer, Views):
        return Heard(said, share)
    return Heard(said, share, *_of_views(detector, scorer, wave, wanted))


def _of_views(
    detector: "EnsembleDetector",
    scorer: Views,
    wave: Int16[np.ndarray, " samples"],
    wanted: Sequence[str],
) -> tuple[str, tuple[float, float] | None]:
    """The view, of those `wanted`, that finds the clip oddest, in words, and the band in which."""
    bands = detector.config.statistics.n_mels or detector.spec.n_mels
    spec = dataclasses.replace(detector.spec, n_mels=bands, channels=("power",))
    views = host.clip_views(wave, spec)
    away = views[scorer.columns] - np.asarray(scorer.means, np.float64)
    factors = np.asarray(scorer.factors, np.float64)
    squares = np.square(np.einsum("vd,vde->ve", away, factors)).sum(1)
    z = (np.log(np.maximum(squares, SMALLEST)) - scorer.centre) / scorer.spread
    ends = np.cumsum(view_sizes(len(views)))
    names = [VIEWS[at] for at in np.searchsorted(ends, scorer.columns[:, 0], side="right")]
    z = np.where(np.isin(names, wanted), z, -np.inf)
    found = int(np.argmax(z + np.log(np.maximum(scorer.shares, 1e-9)) / SHARPNESS))
    columns = np.unique(scorer.columns[found])  # a narrow view repeats its last
    factor, away = factors[found, : len(columns), : len(columns)], away[found, : len(columns)]
    # factor factor^T is the inverse covariance, of whose inverse this is the diagonal.
    odd = away / np.sqrt(np.square(np.linalg.inv(factor)).sum(0))
    if names[found] == "rhythm":
        return _fluctuation(away, odd, spec.sample_rate), None
    if names[found] == "loud":
        spec = short_frames(spec.sample_rate)
    low, high = _odd_bands(odd)
    if low == high:
        return "the levels of its bands don't go together as usual", None
    pitch = edges(mel_frequencies(spec), (low, high))
    pitch = max(pitch[0], 0.0), min(pitch[1], spec.sample_rate / 2)
    db = away[low:high].mean()
    how = f"{abs(db):.{0 if abs(db) >= 1.5 else 1}f} dB {'louder' if db > 0 else 'quieter'}"
    where = "at all pitches" if high - low > 0.9 * len(odd) else f"at {hertz(*pitch)}"
    return f"its {_SAID[names[found]]} {how} than normal {where}", pitch


def _fluctuation(away: np.ndarray, odd: np.ndarray, sample_rate: int) -> str:
    """How the level's fluctuation departs from what is normal, and how often a second."""
    away, odd = (x.reshape(RHYTHM_BANDS, -1).mean(0) for x in (away, odd))
    low, high = _odd_bands(odd * np.sqrt(RHYTHM_BANDS))
    if low == high:
        return "its level does not fluctuate as usual"
    bin_hertz = sample_rate / (short_frames(sample_rate).hop_length * RHYTHM_FRAMES)
    slow, fast = (edge * bin_hertz for edge in (EDGES[low], EDGES[high]))
    ratio = 10.0 ** (away[low:high].mean() / 20.0)
    how = f"{ratio:.1f} times as much as normal" if ratio > 1 else f"{ratio:.0%} of normal"
    return f"its level moves up and down by {how}, {slow:.1f} to {fast:.1f} times a second"


def _odd_bands(z: Float[np.ndarray, " bands"]) -> tuple[int, int]:
    """The neighbouring bands with the largest (|mean| - 1) sqrt(number), half-open; none: (0, 0).

    The statistic of `report.region.find_region`, along one axis.
    """
    sums = np.concatenate([[0.0], np.cumsum(np.clip(z, -12.0, 12.0))])
    best, found = 0.0, (0, 0)
    for size in range(1, len(z) + 1):
        means = np.abs(sums[size:] - sums[:-size]) / size
        at = int(means.argmax())
        value = (float(means[at]) - 1.0) * size**0.5
        if value > best:
            best, found = value, (at, at + size)
    return found
