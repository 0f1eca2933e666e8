"""Is a written file the detector it was made of? ScoreTable, what fewer bits cost, and latency."""

import dataclasses
import functools
import time
from collections.abc import Callable, Sequence

import jax
import numpy as np
from jaxtyping import Float, Int16

from asd_jax.data.clips import UNKNOWN
from asd_jax.data.layouts.folder import told_label
from asd_jax.deploy.program import Program
from asd_jax.detector import Detector
from asd_jax.live.answer import recording_of

LIMIT = 1e-3
REPEATS = 15  # timed calls of each side
BATCH = 4
PcmClips = Int16[np.ndarray, "clips samples"]
ScoreTable = Float[np.ndarray, "clips machines"]


@dataclasses.dataclass(frozen=True)
class Clips:
    """Clips on which exported files are checked.

    Attributes:
        names: of the clips.
        waves: 16-bit.
        candidates: the machines that each may be of, indices into the detector's groups.
    """

    names: tuple[str, ...]
    waves: PcmClips
    candidates: tuple[tuple[int, ...], ...]

    @property
    def labels(self) -> np.ndarray:
        """NORMAL, ANOMALY, or UNKNOWN where the path does not tell, `[clips]`."""
        return np.array([told_label(recording_of(name)) for name in self.names])


def read_clips(detector: Detector, paths: Sequence[str]) -> Clips:
    """Recordings and folders as clips of the detector's length, rate and channel.

    Raises:
        UserError: a path is not there or holds no recording.
        asd_jax.data.decode.UnreadableError: a recording cannot be read.
    """
    from asd_jax.live.recordings import ClipScorer, find_recordings, read_pieces

    scorer = ClipScorer(detector)
    pieces = [piece for path in find_recordings(paths) for piece in read_pieces(scorer, path)]
    names, waves, candidates, *_ = zip(*pieces, strict=True)
    return Clips(names, np.stack(waves), tuple(map(tuple, candidates)))


def generated_clips(detector: Detector) -> Clips:
    """Sounds of synthetic machines, two healthy and two faulty, where no recording is at hand."""
    from asd_jax.data.synthetic import TYPES, SyntheticMachines
    from asd_jax.data.synthetic.render import mix, plan_clip, render_clip

    seconds = float(np.clip(detector.samples / 16000, 1.0, 60.0))
    settings = SyntheticMachines(seconds=seconds)
    names, waves = [], []
    for number, kind in enumerate(TYPES):
        label = ("normal", "abnormal")[number % 2]
        sound = mix(render_clip(settings, plan_clip(settings, kind, "id_00", label, 0)), 0.0)
        names.append(f"generated {kind}")
        waves.append(np.resize(sound[:, 0], detector.samples))
    everything = tuple(range(len(detector.groups)))
    return Clips(tuple(names), np.stack(waves), (everything,) * len(names))


def live_scores(detector: Detector, program: Program, waves: PcmClips) -> ScoreTable:
    """The detector's own scores of the machines that the program scores."""
    parts = [detector.each_score(part) for part in _batches(waves)]
    return np.concatenate(parts)[: len(waves), list(program.rows)]


def traced_scores(program: Program, waves: PcmClips) -> ScoreTable:
    """The scores of the program run by JAX here: what the file must give, bits included."""
    run = jax.jit(functools.partial(program.run, program.arrays))
    parts = [np.asarray(run(program.feed(part))[0]) for part in _batches(waves)]
    return np.concatenate(parts)[: len(waves)]


def file_scores(reader: Callable, program: Program, waves: PcmClips) -> ScoreTable:
    """The scores of a written file; the last clip also alone, for another size of batch."""
    parts = [reader(program.feed(part))[0] for part in _batches(waves)]
    scores = np.concatenate(parts)[: len(waves)]
    scores[-1] = reader(program.feed(waves[-1:]))[0][0]
    return scores


def difference(scores: ScoreTable, reference: ScoreTable) -> float:
    """The largest difference, of a score above 1 in size as a share of it; NaN is infinite."""
    away = np.abs(scores - reference) / np.maximum(1.0, np.abs(reference))
    return float(np.where(np.isnan(away), np.inf, away).max())


def mean_auc(
    detector: Detector, program: Program, clips: Clips, scores: ScoreTable
) -> tuple[float, int] | None:
    """Mean AUC over the machines with clips of both labels, and the number of such clips.

    A clip that may be of several machines counts as the one that explains it best; without labels
    the result is None.
    """
    from asd_jax.scoring.metrics import auc

    labels, thresholds = clips.labels, detector.thresholds[: len(detector.groups)]
    values, columns = np.full(len(scores), np.nan), np.full(len(scores), -1)
    for clip, candidates in enumerate(clips.candidates):
        one = len(program.rows) == 1 and program.about["machines"] == ["any"]
        wanted = [0] if one else [program.rows.index(g) for g in candidates if g in program.rows]
        if wanted:
            above = scores[clip, wanted]
            if len(wanted) > 1:
                threshold = thresholds[[program.rows[w] for w in wanted]]
                # As `Detector` does: a machine may have none.
                above = np.where(np.isfinite(threshold), above - threshold, above)
            values[clip], columns[clip] = above.min(), wanted[int(above.argmin())]
    found, count = [], 0
    for column in np.unique(columns[columns >= 0]):
        rows = (columns == column) & (labels != UNKNOWN)
        if len(set(labels[rows])) == 2:
            found.append(auc(labels[rows], values[rows]))
            count += int(rows.sum())
    return (float(np.mean(found)), count) if found else None


def latency(
    detector: Detector, reader: Callable, program: Program, wave: PcmClips
) -> tuple[float, float]:
    """Milliseconds to score one clip, of the file and of the live detector: medians, in turns."""
    fed = program.feed(wave)
    sides = (lambda: reader(fed), lambda: detector.each_score(wave))
    times: tuple[list[float], list[float]] = ([], [])
    for turn in range(REPEATS + 2):
        for side, spent in zip(sides, times, strict=True):
            start = time.perf_counter()
            side()
            if turn >= 2:  # the first calls compile and fill caches
                spent.append(1e3 * (time.perf_counter() - start))
    return float(np.median(times[0])), float(np.median(times[1]))


def _batches(waves: PcmClips) -> list[PcmClips]:
    """All clips in batches of one size; the last is filled up with its last clip."""
    missing = -len(waves) % BATCH
    waves = np.concatenate([waves, np.repeat(waves[-1:], missing, axis=0)])
    return [waves[i : i + BATCH] for i in range(0, len(waves), BATCH)]
