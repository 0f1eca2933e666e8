"""The detector as an outlier detector of scikit-learn: fit, predict, clone, pipelines."""

import contextlib
import copy
import dataclasses
import functools
import io
import itertools
import operator
import os
import pathlib
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from absl import logging
from jaxtyping import Float, Int
from sklearn.base import BaseEstimator, OutlierMixin
from sklearn.exceptions import NotFittedError
from sklearn.utils import check_array

from asd_jax.errors import UserError

if TYPE_CHECKING:  # it brings jax
    from asd_jax.detector import Detector

# Network and schedule of `configs/ensemble.py:folder`: own recordings, fewer than a data set has.
FOLDER = {
    "data": {"long": "windows"},
    "features": {"n_mels": 64},
    "encoder": {"name": "band_cnn", "width": 0.5, "embed_dim": 256, "members": 2},
    "pretrain": {"epochs": 15.0, "batch_size": 16},
    "temporal": {"batch_size": 16},
}
OWN = ("config", "machine", "sample_rate", "workdir", "verbose")  # all else is a setting
MACHINE = "machine"  # what recordings that are not in folders of their own are of

Recordings = Any  # a folder, a path, paths, or waveforms; see `AnomalousSoundDetector`


class _Refused(UserError, ValueError):
    """A UserError that is a ValueError too, as scikit-learn's callers expect."""


class _NotLearned(UserError, NotFittedError):
    """Scoring before learning."""


class AnomalousSoundDetector(OutlierMixin, BaseEstimator):
    """Learns how machines sound while they are healthy, and judges further recordings.

    >>> from asd_jax import AnomalousSoundDetector
    >>> detector = AnomalousSoundDetector(pretrain__epochs=5.0)
    >>> detector.get_params()["pretrain__epochs"]
    5.0
    >>> detector.fit("healthy/").decision_function(["new.wav"])  # doctest: +SKIP
    array([-3.21])
    >>> detector.predict(["new.wav"])  # -1: anomalous  # doctest: +SKIP
    array([-1])

    Recordings are given as a folder, a path, a list of paths (a folder among them stands for all
    below it), or as waveforms: `[clips, samples]`, or a list of `[samples]`, 16-bit integers or
    floats of full scale 1. A result has one number a recording, in their order, folders sorted; of
    a long one its most anomalous window counts. A recording gets the same number as a path and as
    an array of its samples. What cannot be read or is not sound (silence, less than 0.1 s) is
    named in a warning and gets NaN, and 0 of `predict`.

    An outlier detector of scikit-learn: `clone`, pipelines, searches and `cross_val_score` take it,
    pickle and joblib keep it. Unpickle only what is your own; `save` and `load` need no pickle.

    Args:
        config: settings of the ensemble, nested (`{"pretrain": {"epochs": 5.0}}`), over those of
            `configs/ensemble.py:folder`; None for these.
        machine: the machine of all recordings to judge, as `--machine` of `asd_jax.score` has it;
            None: whichever known one explains a recording best. (The command looks for it in the
            paths, which arrays have not.)
        sample_rate: Hz of the waveforms given as arrays; None for `config.data.sample_rate`.
        workdir: folder of the training run; the same folder resumes. None: a temporary one.
        verbose: let the training print.
        overrides: single settings, `pretrain__epochs=5.0` for `config.pretrain.epochs`.

    Attributes:
        detector_: once fitted, an `asd_jax.detector.Detector`.

    Raises:
        ValueError: (a UserError) an override is not a setting.
    """

    def __init__(
        self,
        config: Mapping[str, Any] | None = None,
        *,
        machine: str | None = None,
        sample_rate: int | None = None,
        workdir: str | os.PathLike | None = None,
        verbose: bool = False,
        **overrides: Any,
    ) -> None:
        self.config = config
        self.machine = machine
        self.sample_rate = sample_rate
        self.workdir = workdir
        self.verbose = verbose
        self.set_params(**overrides)

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The arguments that it was made with, overrides included."""
        names = [*OWN, *(name for name in vars(self) if name not in OWN and _is_setting(name))]
        return {name: getattr(self, name) for name in names}

    def set_params(self, **params: Any) -> "AnomalousSoundDetector":
        """Changes arguments; those of `fit` count from the next `fit` on.

        Raises:
            ValueError: (a UserError) a name is neither an argument nor a setting.
        """
        for name in params:
            if name not in OWN and not _is_setting(name):
                field = name.replace("__", ".")
                raise _Refused(f"{name} is not a parameter: config.{field} is not a field.")
        for name, value in params.items():
            setattr(self, name, value)
        return self

    def fit(self, X: Recordings, y: Any = None) -> "AnomalousSoundDetector":
        """Trains on healthy recordings.

        Args:
            X: a folder in the layout of `configs/ensemble.py:folder`, with one machine or more, or
                recordings of one machine; see the class.
            y: not looked at; all recordings count as healthy.

        Raises:
            UserError: a setting is wrong, or a recording or folder cannot be read or found.
        """
        from asd_jax.detector import load_detector
        from asd_jax.recipes.ensemble.settings import Ensemble
        from asd_jax.runs import recipe as runs
        from asd_jax.runs.settings import from_config

        data = from_config(Ensemble, self._values("")).data
        with contextlib.ExitStack() as stack:
            root = stack.enter_context(_as_folder(X, self.sample_rate or data.sample_rate))
            workdir = self.workdir or stack.enter_context(tempfile.TemporaryDirectory())
            if not self.verbose:
                stack.enter_context(contextlib.redirect_stdout(io.StringIO()))
            runs.run(self._values(root), os.fspath(workdir))
            self.detector_ = load_detector(os.path.join(workdir, "detector"))
        return self

    def score_samples(self, X: Recordings) -> Float[np.ndarray, "recordings"]:
        """Minus the anomaly scores of reports and `asd_jax.score`: lower is more anomalous."""
        return -self._judged(X)[0]

    def decision_function(self, X: Recordings) -> Float[np.ndarray, "recordings"]:
        """Returns threshold minus score of each recording; negative is anomalous."""
        score, threshold = self._judged(X)
        return threshold - score

    def predict(self, X: Recordings) -> Int[np.ndarray, "recordings"]:
        """Returns 1 for normal and -1 for anomalous recordings, as scikit-learn's detectors.

        0 where there is no score.
        """
        above = self.decision_function(X)
        return np.where(np.isnan(above), 0, np.where(above < 0, -1, 1))

    def score(self, X: Recordings, y: Any = None) -> float:
        """The share of right decisions.

        Args:
            X: recordings.
            y: 1 for each healthy recording and -1 for each anomalous one; None: all are healthy,
                so that one less the result is the rate of false alarms. For an AUC,
                `cross_val_score(..., scoring="roc_auc")`.
        """
        predicted = self.predict(X)
        return float(np.mean(predicted == (1 if y is None else np.asarray(y))))

    def save(self, folder: str | os.PathLike) -> None:
        """Writes the detector's folder, for `load`, `asd_jax.score` and `asd_jax.export`."""
        self._fitted().save(os.fspath(folder))

    @classmethod
    def load(cls, folder: str | os.PathLike, **params: Any) -> "AnomalousSoundDetector":
        """The detector of a finished run or of `save`; raises UserError if the folder is none.

        Args:
            folder: `RUN/detector`.
            params: arguments of the class, such as `machine`.
        """
        from asd_jax.detector import load_detector

        found = cls(**params)
        found.detector_ = load_detector(os.fspath(folder))
        return found

    def __sklearn_is_fitted__(self) -> bool:
        """Whether it can score."""
        return hasattr(self, "detector_")

    def __sklearn_tags__(self) -> Any:
        """Describes the input to scikit-learn: waveforms as rows, or paths."""
        tags = super().__sklearn_tags__()
        tags.input_tags.string = True
        return tags

    def __getstate__(self) -> dict[str, Any]:
        """The arguments, and of the detector the files that `save` writes."""
        state: dict[str, Any] = {**super().__getstate__()}  # pyright: ignore[reportGeneralTypeIssues]
        if "detector_" in state:
            with tempfile.TemporaryDirectory() as folder:
                self.save(folder)
                files = sorted(pathlib.Path(folder).iterdir())
                state["detector_"] = {file.name: file.read_bytes() for file in files}
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        from asd_jax.detector import load_detector

        state = dict(state)
        if files := state.pop("detector_", None):
            with tempfile.TemporaryDirectory() as folder:
                for name, content in files.items():
                    pathlib.Path(folder, name).write_bytes(content)
                state["detector_"] = load_detector(folder)
        super().__setstate__(state)

    def _fitted(self) -> "Detector":
        if not hasattr(self, "detector_"):
            raise _NotLearned("this detector has not learned yet: call fit, or load one.")
        return self.detector_

    def _values(self, root: str) -> dict[str, Any]:
        """The nested settings of the training run."""
        values = _defaults()
        _merge(values, FOLDER)
        _merge(values, copy.deepcopy(dict(self.config or {})))
        for name, value in self.get_params().items():
            if name not in OWN:
                *parents, leaf = name.split("__")
                functools.reduce(operator.getitem, parents, values)[leaf] = value
        values["data"] |= {"layout": "folder", "root": root}
        return values

    def _judged(self, X: Recordings) -> tuple[np.ndarray, np.ndarray]:
        """Score and threshold of each recording; what may mislead is logged."""
        from asd_jax.data import quality
        from asd_jax.live.recordings import BATCH, ClipScorer, chosen_machine

        detector, recordings = self._fitted(), _listed(X)
        chosen = chosen_machine(self.machine, detector.groups)
        clip_scorer = ClipScorer(detector, chosen, locate=False)
        scores, thresholds = np.full((2, len(recordings)), np.nan)
        doubts: dict[str, list[str]] = {}  # names of clips by flag
        rate = self.sample_rate or detector.config.data.sample_rate
        pieces = _pieces(clip_scorer, recordings, rate)
        while batch := list(itertools.islice(pieces, BATCH)):
            rows = clip_scorer.rows([piece for _, piece in batch])
            for row, (number, _) in zip(rows, batch, strict=True):
                if not np.isfinite(row["score"]):
                    logging.warning("%s is not scored: %s.", row["path"], row["quality"])
                    continue
                if not row["score"] <= scores[number]:
                    scores[number], thresholds[number] = row["score"], row["threshold"]
                for flag in row["quality"].split():
                    doubts.setdefault(flag, []).append(row["path"])
        for flag, of in doubts.items():
            why = quality.MEANINGS[flag]
            logging.warning("%d scores may mislead, the first of %s: %s.", len(of), of[0], why)
        return scores, thresholds


def _defaults() -> dict[str, Any]:
    from asd_jax.recipes.ensemble.settings import Ensemble

    return dataclasses.asdict(Ensemble())


def _is_setting(name: str) -> bool:
    """Whether `stage__field` is a field of the config."""
    values: Any = _defaults()
    for part in name.split("__"):
        if not isinstance(values, dict) or part not in values:
            return False
        values = values[part]
    return True


def _merge(values: dict[str, Any], changes: Mapping[str, Any]) -> None:
    for name, value in changes.items():
        if isinstance(value, Mapping) and isinstance(values.get(name), dict):
            _merge(values[name], value)
        else:
            values[name] = value


def _listed(X: Recordings, *, least: int = 1) -> list[Any]:
    """Each recording: a path, or a waveform `[samples]`.

    Args:
        X: see `AnomalousSoundDetector`; what looks like an array is checked by scikit-learn.
        least: rows of such an array.

    Raises:
        ValueError: there is no recording, or something that is none.
    """
    from asd_jax.live.recordings import find_recordings

    if isinstance(X, str | os.PathLike):
        given = [X]
    elif isinstance(X, list | tuple) or (getattr(X, "ndim", 2) == 1 and X.dtype.kind in "OUS"):
        given = list(X)  # paths, or waveforms that may be of several lengths
    else:
        given = list(check_array(X, dtype="numeric", ensure_min_samples=least))
    found: list[Any] = []
    for item in given:
        known = isinstance(item, str | os.PathLike)
        found += find_recordings([os.fspath(item)]) if known else [_checked(np.asarray(item))]
    if not found:
        raise _Refused("there is no recording: give a folder, paths or waveforms.")
    return found


def _checked(wave: np.ndarray) -> np.ndarray:
    """A waveform as a wav file can hold it."""
    if wave.ndim != 1 or not len(wave):
        raise _Refused(f"a waveform must be [samples], not of shape {wave.shape}.")
    if wave.dtype == np.int16:
        return wave
    if wave.dtype.kind != "f":
        raise _Refused(f"a waveform must be int16, or floats of full scale 1, not {wave.dtype}.")
    if not np.isfinite(wave).all():
        raise _Refused("a waveform holds NaN or inf, which are no samples.")
    return wave.astype(np.float32)


def _write(path: pathlib.Path, wave: np.ndarray, sample_rate: int) -> None:
    """A waveform as a file, so that it is read as any other recording is."""
    import soundfile

    subtype = "PCM_16" if wave.dtype == np.int16 else "FLOAT"
    soundfile.write(path, wave, sample_rate, subtype=subtype)


@contextlib.contextmanager
def _as_folder(X: Recordings, sample_rate: int) -> Iterator[str]:
    """A folder of the recordings: the one given, or a temporary one of links and wav files."""
    if isinstance(X, str | os.PathLike) and os.path.isdir(X):
        yield os.fspath(X)
        return
    with tempfile.TemporaryDirectory() as root:
        folder = pathlib.Path(root) / MACHINE / "train" / "normal"
        folder.mkdir(parents=True)
        for number, item in enumerate(_listed(X, least=2)):
            if isinstance(item, str):
                # The number first: names of different folders may be the same.
                (folder / f"{number:06d}_{os.path.basename(item)}").symlink_to(
                    os.path.abspath(item)
                )
            else:
                _write(folder / f"{number:06d}.wav", item, sample_rate)
        yield root


def _pieces(
    clip_scorer: Any, recordings: Sequence[Any], sample_rate: int
) -> Iterator[tuple[int, Any]]:
    """The number of a recording and a clip of it, for all clips; unreadable ones are logged."""
    from asd_jax.data.decode import UnreadableError
    from asd_jax.live.recordings import read_pieces

    candidates = clip_scorer.candidates()
    with tempfile.TemporaryDirectory() as folder:
        for number, item in enumerate(recordings):
            path = name = item
            if not isinstance(item, str):
                path, name = os.path.join(folder, "recording.wav"), f"waveform {number}"
                _write(pathlib.Path(path), item, sample_rate)
            try:
                for piece in read_pieces(clip_scorer, path):
                    shown = piece.name.replace(path, name)
                    yield number, piece._replace(name=shown, candidates=candidates)
            except UnreadableError as error:
                if not isinstance(item, str):  # the caller's mistake, not a recorder's
                    raise _Refused(f"{name}: {error.reason}.") from error
                logging.warning("%s is not scored: %s.", name, error.reason)
