"""What a report is made from: plain data, nothing of the run itself."""

import dataclasses
import datetime
from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Float, Int, Int16, Shaped


@dataclasses.dataclass(frozen=True)
class Heard:
    """What the branch that adds most to a clip's score has heard of it.

    Args:
        branch: in words, as after "the".
        share: of what all branches add to the score.
        what: in words, as "its loud moments are 4 dB louder than normal at 1.2–1.6 kHz"; '' where
            a network's features don't tell.
        hertz: the band that `what` is of.
    """

    branch: str
    share: float
    what: str = ""
    hertz: tuple[float, float] | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Picture:
    """A clip as the detector's front end hears it.

    `deviation` is the signed distance from normal in standard deviations of the same bin over
    normal clips. `normal_db`, the mean level of each bin over normal clips, lets the words say
    how many decibels the deviation is.
    """

    spectrogram: Shaped[np.ndarray, "mels frames"]  # dB
    deviation: Shaped[np.ndarray, "mels frames"]
    mel_frequencies: Shaped[np.ndarray, " mels"]  # Hz, the centre of each bin, rising
    frame_times: Shaped[np.ndarray, " frames"]  # s, rising
    normal_db: Shaped[np.ndarray, " mels"] | None = None
    audio: Int16[np.ndarray, " samples"] | None = None
    sample_rate: int = 16000  # Hz
    heard: Heard | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Example(Picture):
    """One clip to look at and to listen to."""

    path: str
    machine_type: str
    machine_id: str
    label: int  # 0 normal, 1 anomaly, -1 unknown
    score: float
    threshold: float | None = None
    percentile: float | None = None  # share in % of normal clips with a lower score
    rarity: str = ""  # of the score among healthy clips, in words: `threshold.tail_words`
    seen: Shaped[np.ndarray, "height width"] | None = None  # the network's picture, in [-1, 1]


@dataclasses.dataclass(frozen=True)
class MadeFault:
    """A healthy clip with a fault made by the computer; without one where `fault` is ''."""

    fault: str
    strength: str
    heard: bool | None  # whether it is above the threshold
    spectrogram: Shaped[np.ndarray, "mels frames"]  # dB
    audio: Int16[np.ndarray, " samples"]
    sample_rate: int  # Hz


@dataclasses.dataclass(frozen=True)
class Embedding:
    """Where the clips lie in the space in which the detector compares them, one row a clip."""

    points: Float[np.ndarray, "clips dim"]  # dim 2 is drawn as it is, more by PCA
    machine_types: tuple[str, ...]
    machine_ids: tuple[str, ...]
    labels: Int[np.ndarray, " clips"]  # 0 normal, 1 anomaly, -1 unknown
    splits: tuple[str, ...]  # 'train' or 'test'
    name: str = ""  # of the branch that they come from


@dataclasses.dataclass(frozen=True)
class Branch:
    """What became of one branch."""

    name: str  # as in the column score_<name>
    weight: float | None = None
    gated: bool = False  # left out because it knows nothing
    reason: str = ""  # one sentence: why gated, or why this weight


@dataclasses.dataclass(frozen=True)
class Classification:
    """How a supervised classifier decided; intervals and figures of its test clips.

    Args:
        confusion: clips (healthy called healthy, called faulty; faulty called healthy, faulty).
        measures: (value, low, high) by name; see `asd_jax.scoring.classification.measures`.
        trivial: the accuracy of calling every clip what most clips are.
        loss: mean binary cross entropy.
        brier: mean squared error of the probabilities.
        calibration_error: expected calibration error.
        reliability: (mean predicted probability, share of faults, clips) of each bin.
        clips, recordings: of the test; a recording may have several versions.
        conditions: the measures and `clips` by condition, such as the noise level.
        references: `auc`, `auc_interval`, `above` and its interval, by the reference's name.
        sentences: what must be known before any figure: has it learned, is it above the references.
        learned: False where validation has not left chance.
        calibrated: the probabilities were fitted to validation recordings.
    """

    confusion: tuple[int, int, int, int]
    measures: Mapping[str, tuple[float, float, float]]
    trivial: float
    loss: float
    brier: float
    calibration_error: float
    reliability: tuple[tuple[float, float, int], ...]
    clips: int
    recordings: int
    conditions: Mapping[str, Mapping[str, float]] = dataclasses.field(default_factory=dict)
    references: Mapping[str, Mapping[str, Any]] = dataclasses.field(default_factory=dict)
    sentences: tuple[str, ...] = ()
    learned: bool = True
    calibrated: bool = False


@dataclasses.dataclass(frozen=True)
class Session:
    """Recordings that a finished detector has scored, where there is no run to tell of.

    Args:
        answer: what came out, in sentences; the first one is the headline.
        times: when the clip of a row's path was recorded, local time; not of those that nothing
            tells of.
        source: where the times come from, a sentence.
        unreadable: (path, reason) of recordings that could not be read.
    """

    answer: tuple[str, ...]
    times: Mapping[str, datetime.datetime]
    source: str = ""
    unreadable: tuple[tuple[str, str], ...] = ()


@dataclasses.dataclass(frozen=True)
class Report:
    """All that `write_report` shows; each field but the first two may be left out.

    Args:
        results: as in results.json; a group may hold `auc_interval` [low, high].
        rows: as `write_scores` takes them.
        embedding, examples, branches: see their classes; examples most anomalous first.
        made: faults to see and to hear, the clip without one first.
        history: the events of metrics.jsonl, oldest first.
        warnings: sentences that a reader must know before trusting the numbers.
        oracle: the threshold or a checkpoint was chosen with test labels.
        config: the resolved configuration, nested.
        classification: of a supervised classifier; its examples are those it gets most wrong.
        session: of recordings scored by a finished detector; what only a run has is left out.
        title, version: free text.
    """

    results: Mapping[str, Any]
    rows: tuple[Mapping[str, Any], ...]
    embedding: Embedding | None = None
    examples: tuple[Example, ...] = ()
    branches: tuple[Branch, ...] = ()
    made: tuple[MadeFault, ...] = ()
    history: tuple[Mapping[str, Any], ...] = ()
    warnings: tuple[str, ...] = ()
    oracle: bool = False
    config: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    classification: Classification | None = None
    session: Session | None = None
    title: str = "Machine sound report"
    version: str = ""
