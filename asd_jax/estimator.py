"""The detector as scikit-learn's outlier detectors are used: fit, score, predict, clone."""

import contextlib
import copy
import dataclasses
import io
import itertools
import os
import pathlib
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from absl import logging
from jaxtyping import Float, Int

from asd_jax.data.samples import to_int16
from asd_jax.errors import UserError

# Network and schedule of `configs/ensemble.py:folder`: own recordings, fewer than a data set has.
FOLDER = {
    "data.long": "windows",
    "features.n_mels": 64,
    "encoder.name": "band_cnn",
    "encoder.width": 0.5,
    "encoder.embed_dim": 256,
    "encoder.members": 2,
    "pretrain.epochs": 15.0,
    "pretrain.batch_size": 16,
}
MACHINE = "machine"  # what recordings that are not in folders of their own are of

Recordings = str | os.PathLike | np.ndarray | Sequence[str | os.PathLike | np.ndarray]


class AnomalousSoundDetector:
    """Learns how machines sound while they are healthy, and scores further recordings.

    >>> from asd_jax import AnomalousSoundDetector
    >>> detector = AnomalousSoundDetector(pretrain__epochs=5.0)
    >>> detector.get_params()["pretrain__epochs"]
    5.0
    >>> detector.fit("healthy/").score(["new.wav"])  # doctest: +SKIP
    array([3.21])
    >>> detector.predict(["new.wav"])  # -1: anomalous  # doctest: +SKIP
    array([-1])

    Recordings are given as a folder, a path, a list of paths (a folder among them stands for all
    below it), or as waveforms: `[clips, samples]`, or a list of `[samples]`, 16-bit integers or
    floats in [-1, 1], at the config's sample rate. A result has one number a recording, in
    their order, folders sorted; of a long one its most anomalous window counts. What cannot be
    read or is no sound (silence, less than 0.1 s) is named in a warning and gets NaN, and 0 of
    `predict`.

    Args:
        config: settings of the ensemble, nested (`{"pretrain": {"epochs": 5.0}}`), over those of
            `configs/ensemble.py:folder`; None for these.
        workdir: folder of the training run; the same folder resumes. None: a temporary one.
        verbose: let the training print.
        overrides: single settings, `pretrain__epochs=5.0` for `config.pretrain.epochs`.

    Attributes:
        detector_: once fitted, an `asd_jax.detector.Detector`.
    """

    def __init__(
        self,
        config: Mapping[str, Any] | None = None,
        *,
        workdir: str | os.PathLike | None = None,
        verbose: bool = False,
        **overrides: Any,
    ) -> None:
        self.config, self.workdir, self.verbose = config, workdir, verbose
        self._overrides = overrides

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The arguments that it was made with, overrides included."""
        own = {"config": self.config, "workdir": self.workdir, "verbose": self.verbose}
        return own | self._overrides

    def set_params(self, **params: Any) -> "AnomalousSoundDetector":
        """Changes arguments; those of `fit` count from the next `fit` on."""
        for name, value in params.items():
            if name in ("config", "workdir", "verbose"):
                setattr(self, name, value)
            else:
                self._overrides[name] = value
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
        from asd_jax.runs import recipe as runs

        with contextlib.ExitStack() as stack:
            root = stack.enter_context(_as_folder(X, self._settings().data.sample_rate))
            workdir = self.workdir or stack.enter_context(tempfile.TemporaryDirectory())
            if not self.verbose:
                stack.enter_context(contextlib.redirect_stdout(io.StringIO()))
            runs.run(self._values(root), os.fspath(workdir))
            self.detector_ = load_detector(os.path.join(workdir, "detector"))
        return self

    def score(self, X: Recordings, y: Any = None) -> Float[np.ndarray, "recordings"]:
        """Anomaly scores; higher is more anomalous. (Not an accuracy, unlike a classifier's.)

        Where the path does not tell the machine, the one that explains a recording best counts.
        """
        return self._judged(X)[0]

    def score_samples(self, X: Recordings) -> Float[np.ndarray, "recordings"]:
        """The scores with scikit-learn's sign: lower is more anomalous."""
        return -self.score(X)

    def decision_function(self, X: Recordings) -> Float[np.ndarray, "recordings"]:
        """How far below its machine's threshold each recording is; negative is anomalous."""
        score, threshold = self._judged(X)
        return threshold - score

    def predict(self, X: Recordings) -> Int[np.ndarray, "recordings"]:
        """1 for normal and -1 for anomalous recordings, as scikit-learn's detectors say it.

        0 where there is no score.
        """
        above = self.decision_function(X)
        return np.where(np.isnan(above), 0, np.where(above < 0, -1, 1))

    def fit_predict(self, X: Recordings, y: Any = None) -> Int[np.ndarray, "recordings"]:
        """`fit`, then `predict` on the same recordings."""
        return self.fit(X).predict(X)

    def save(self, folder: str | os.PathLike) -> None:
        """Writes the detector's folder, for `load`, `asd_jax.score` and `asd_jax.export`."""
        self._fitted().save(os.fspath(folder))

    @classmethod
    def load(cls, folder: str | os.PathLike) -> "AnomalousSoundDetector":
        """The detector of a finished run or of `save`; raises UserError if the folder is none."""
        from asd_jax.detector import load_detector

        found = cls()
        found.detector_ = load_detector(os.fspath(folder))
        return found

    def __sklearn_is_fitted__(self) -> bool:
        """Whether it can score."""
        return hasattr(self, "detector_")

    def __repr__(self) -> str:
        given = {k: v for k, v in self.get_params().items() if v not in (None, False)}
        return f"{type(self).__name__}({', '.join(f'{k}={v!r}' for k, v in given.items())})"

    def _fitted(self) -> Any:
        if not hasattr(self, "detector_"):
            raise UserError("this detector has not learned yet: call fit, or load one.")
        return self.detector_

    def _settings(self) -> Any:
        from asd_jax.recipes.ensemble.settings import Ensemble
        from asd_jax.runs.settings import from_config

        return from_config(Ensemble, self._values(""))

    def _values(self, root: str) -> dict[str, Any]:
        """The nested settings of the training run."""
        from asd_jax.recipes.ensemble.settings import Ensemble

        values = dataclasses.asdict(Ensemble())
        for name, value in FOLDER.items():
            _set(values, name.split("."), value)
        _merge(values, copy.deepcopy(dict(self.config or {})))
        for name, value in self._overrides.items():
            _set(values, name.split("__"), value)
        values["data"] |= {"layout": "folder", "root": root}
        return values

    def _judged(self, X: Recordings) -> tuple[np.ndarray, np.ndarray]:
        """Score and threshold of each recording."""
        from asd_jax.live.recordings import BATCH, Listener

        listener, recordings = Listener(self._fitted(), locate=False), _listed(X)
        scores, thresholds = np.full((2, len(recordings)), np.nan)
        pieces = _pieces(listener, recordings)
        while batch := list(itertools.islice(pieces, BATCH)):
            rows = listener.rows([piece for _, piece in batch])
            for row, (number, _) in zip(rows, batch, strict=True):
                if not row["score"] <= scores[number] and np.isfinite(row["score"]):
                    scores[number], thresholds[number] = row["score"], row["threshold"]
                elif not np.isfinite(row["score"]):
                    logging.warning("%s is not scored: %s.", row["path"], row["quality"])
        return scores, thresholds


def _set(values: dict[str, Any], path: Sequence[str], value: Any) -> None:
    """Sets one nested field; a name that is none is left for the settings to refuse."""
    *parents, leaf = path
    for parent in parents:
        values = values.setdefault(parent, {})
        if not isinstance(values, dict):
            raise UserError(f"config.{'.'.join(path)} is no field: {parent} is a value.")
    values[leaf] = value


def _merge(values: dict[str, Any], changes: Mapping[str, Any]) -> None:
    for name, value in changes.items():
        if isinstance(value, Mapping) and isinstance(values.get(name), dict):
            _merge(values[name], value)
        else:
            values[name] = value


def _listed(X: Recordings) -> list[Any]:
    """Each recording: a path, or a waveform `[samples]`."""
    from asd_jax.live.recordings import find_recordings

    if isinstance(X, np.ndarray) and X.dtype.kind in "if":
        return list(X) if X.ndim == 2 else [X]
    given = [X] if isinstance(X, str | os.PathLike) else list(X)
    found: list[Any] = []
    for item in given:
        known = isinstance(item, str | os.PathLike)
        found += find_recordings([os.fspath(item)]) if known else [np.asarray(item)]
    if not found:
        raise UserError("there is no recording: give a folder, paths or waveforms.")
    return found


def _int16(wave: np.ndarray) -> np.ndarray:
    """A waveform as 16-bit samples; raises UserError if it is none."""
    if wave.ndim != 1 or not len(wave):
        raise UserError(f"a waveform must be [samples], not of shape {wave.shape}.")
    if wave.dtype == np.int16:
        return wave
    if wave.dtype.kind != "f" or not np.isfinite(wave).all() or np.abs(wave).max() > 1.0:
        raise UserError("a waveform must be int16, or floats in [-1, 1].")
    return to_int16(wave)


@contextlib.contextmanager
def _as_folder(X: Recordings, sample_rate: int) -> Iterator[str]:
    """A folder of the recordings: the one given, or a temporary one of links and wav files."""
    if isinstance(X, str | os.PathLike) and os.path.isdir(X):
        yield os.fspath(X)
        return
    import soundfile

    with tempfile.TemporaryDirectory() as root:
        folder = pathlib.Path(root) / MACHINE / "train" / "normal"
        folder.mkdir(parents=True)
        for number, item in enumerate(_listed(X)):
            if isinstance(item, str):
                # The number first: names of different folders may be the same.
                (folder / f"{number:06d}_{os.path.basename(item)}").symlink_to(
                    os.path.abspath(item)
                )
            else:
                soundfile.write(folder / f"{number:06d}.wav", _int16(item), sample_rate)
        yield root


def _pieces(listener: Any, recordings: Sequence[Any]) -> Iterator[tuple[int, Any]]:
    """The number of a recording and a clip of it, for all clips; unreadable ones are logged."""
    from asd_jax.data import quality
    from asd_jax.data.decode import UnreadableError
    from asd_jax.live.recordings import Piece, read_pieces
    from asd_jax.runs.recordings import wave_settings

    settings = wave_settings(listener.detector.config.data)
    everything = list(range(len(listener.detector.groups)))
    for number, item in enumerate(recordings):
        if isinstance(item, str):
            try:
                for piece in read_pieces(listener, item):
                    yield number, piece
            except UnreadableError as error:
                logging.warning("%s is not scored: %s.", item, error.reason)
            continue
        sound = _int16(item)
        short = len(sound) < quality.SHORTEST * settings.sample_rate
        for start, wave, _ in dataclasses.replace(settings, long="windows").windows([sound]):
            flags = quality.of_clip(wave) | ({"short"} if short else set())
            words = quality.words(flags)
            yield (
                number,
                Piece(f"waveform {number}", wave, everything, start / settings.sample_rate, words),
            )
