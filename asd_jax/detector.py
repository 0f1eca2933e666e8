"""What a finished run is for: waveforms in, anomaly scores and decisions out.

A detector is a folder of two files, `detector.json` (settings, machines, names) and `arrays.npz`
(every array, without pickle). It holds no training data beyond what a scorer itself is made of, and
no optimizer state.
"""

import dataclasses
import functools
import json
import os
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

import asd_jax
from asd_jax.data.clips import UNKNOWN
from asd_jax.errors import UserError
from asd_jax.features.logmel import LogMel, log_mel, to_float
from asd_jax.recipes import branches, networks
from asd_jax.recipes.settings import Ensemble, from_config
from asd_jax.report.files import plain, write_whole
from asd_jax.scoring import ensemble as ensembles
from asd_jax.scoring import scorers
from asd_jax.scoring.threshold import percentile

Tree = Any
Group = tuple[str, str]
FORMAT = 1


@dataclasses.dataclass(frozen=True)
class Detector:
    """A trained and calibrated ensemble.

    Attributes:
        config: the settings of the run that made it.
        groups: the machines (type, ID) that it knows; a group index points in here.
        variables: of the networks by name, and the normaliser.
        scorers: by branch, one scorer a group.
        ensemble: calibrates and weighs the branches' scores.
        thresholds: decision threshold of each group, `[groups]`.
        normal_scores: held-out normal clips' scores of each group, ascending, for percentiles.
        loudness: how much of the loud moments each machine's statistics take, `[groups]`.
        frame_mean, frame_std: a normal frame's level in dB, `[groups, mels]`.
    """

    config: Ensemble
    groups: tuple[Group, ...]
    variables: Mapping[str, Tree]
    scorers: Mapping[str, Sequence[Any]]
    ensemble: ensembles.Ensemble
    thresholds: np.ndarray
    normal_scores: tuple[np.ndarray, ...]
    loudness: np.ndarray
    frame_mean: np.ndarray
    frame_std: np.ndarray

    @property
    def weights(self) -> dict[str, float]:
        """The weight of each branch in the score."""
        return dict(self.ensemble.weights)

    @property
    def notes(self) -> list[str]:
        """What a reader should know about the weights, in sentences."""
        return list(self.ensemble.reasons)

    @property
    def gated(self) -> dict[str, str]:
        """The branches that were left out, and why."""
        return dict(self.ensemble.gated)

    @property
    def spec(self) -> LogMel:
        """The front end."""
        return networks.front_end(self.config)

    @property
    def samples(self) -> int:
        """Samples of one clip."""
        return networks.clip_samples(self.config)

    @functools.cached_property
    def extract(self) -> branches.Extract:
        """`extract(variables, wave)`, the branches' features; pure."""
        nets = networks.build(self.config, len(self.groups))
        return branches.make_extractor(self.config, nets, self.spec)

    def branch_scores(
        self, features: Mapping[str, Any], group: Int[np.ndarray, "clips"]
    ) -> dict[str, Float[np.ndarray, "clips"]]:
        """Raw scores of each branch, each clip by the scorer of its own group."""
        return score_groups(self.scorers, branches.blend(features, self.loudness[group]), group)

    def combine(
        self, scores: Mapping[str, np.ndarray], group: Int[np.ndarray, "clips"]
    ) -> Float[np.ndarray, "clips"]:
        """The ensemble's score of each clip; higher is more anomalous."""
        return ensembles.combine(self.ensemble, scores, self.names(group))

    def names(self, group: Int[np.ndarray, "clips"]) -> list[Group]:
        """The (type, ID) of group indices."""
        return [self.groups[int(g)] for g in group]

    def percentiles(
        self, scores: Float[np.ndarray, "clips"], group: Int[np.ndarray, "clips"]
    ) -> Float[np.ndarray, "clips"]:
        """Share of held-out normal clips of the same machine with a lower score, in percent."""
        return np.array(
            [percentile(s, self.normal_scores[int(g)]) for s, g in zip(scores, group, strict=True)]
        )

    def departure(
        self, wave: Float[Array, "batch samples"], group: Int[np.ndarray, "batch"]
    ) -> tuple[np.ndarray, np.ndarray]:
        """Level in dB and its distance from normal in deviations, both `[batch, mels, frames]`."""
        level = np.asarray(log_mel(wave, spec=_power_only(self.spec)))[..., 0]
        mean, std = self.frame_mean[group][..., None], self.frame_std[group][..., None]
        return level, (level - mean) / std

    def score(
        self, clips: Sequence[tuple[str, np.ndarray, Sequence[int]]], *, batch: int
    ) -> list[dict[str, Any]]:
        """Scores int16 clips of `samples` samples, `batch` at a time.

        Args:
            clips: (name, waveform, indices of the groups that it may be of).
            batch: the size that is compiled; fewer clips are padded to it.

        Returns:
            rows as scores.csv holds them, and `percentile`. Of several groups, the one that
            explains the clip best counts.
        """
        rows = []
        for start in range(0, len(clips), batch):
            part = clips[start : start + batch]
            waves = np.zeros((batch, self.samples), np.int16)
            waves[: len(part)] = np.stack([wave for _, wave, _ in part])
            features = {k: np.asarray(v) for k, v in self._run(waves).items()}
            rows += [
                self._best(name, {k: v[i : i + 1] for k, v in features.items()}, candidates)
                for i, (name, _, candidates) in enumerate(part)
            ]
        return rows

    @functools.cached_property
    def _run(self) -> Any:
        """The features of int16 waveforms, jitted with the variables as arguments."""
        run = jax.jit(lambda variables, wave: self.extract(variables, to_float(wave)))
        return functools.partial(run, self.variables)

    def _best(
        self, name: str, features: Mapping[str, np.ndarray], candidates: Sequence[int]
    ) -> dict[str, Any]:
        """The row of one clip under the candidate group with the lowest score."""
        groups = np.asarray(candidates)
        repeated = {k: np.repeat(v, len(groups), axis=0) for k, v in features.items()}
        scores = self.branch_scores(repeated, groups)
        total = self.combine(scores, groups)
        threshold = self.thresholds[groups]
        # Scores of different machines are compared by their distance from their own threshold.
        at = int(np.argmin(np.where(np.isfinite(threshold), total - threshold, total)))
        group = groups[at : at + 1]
        return {
            "path": name,
            "machine_type": self.groups[group[0]][0],
            "machine_id": self.groups[group[0]][1],
            "domain": "",
            "label": UNKNOWN,
            "score": float(total[at]),
            **{f"score_{branch}": float(values[at]) for branch, values in scores.items()},
            "threshold": float(threshold[at]),
            "decision": decide(total[at], threshold[at]),
            "percentile": float(self.percentiles(total[at : at + 1], group)[0]),
        }

    def save(self, folder: str) -> None:
        """Writes the folder; an older one in its place is replaced file by file."""
        os.makedirs(folder, exist_ok=True)
        arrays = {f"variables/{k}": v for k, v in flatten_tree(self.variables).items()}
        for branch, fitted in self.scorers.items():
            for number, scorer in enumerate(fitted):
                for name, value in scorers.to_arrays(scorer).items():
                    arrays[f"scorers/{branch}/{number}/{name}"] = np.asarray(value)
        arrays |= {
            f"normal_scores/{number}": value for number, value in enumerate(self.normal_scores)
        }
        for name in ("thresholds", "loudness", "frame_mean", "frame_std"):
            arrays[name] = getattr(self, name)
        temporary = os.path.join(folder, "arrays.npz.tmp")
        with open(temporary, "wb") as file:
            np.savez(file, **{name: np.asarray(value) for name, value in arrays.items()})
        os.replace(temporary, os.path.join(folder, "arrays.npz"))
        about = {
            "format": FORMAT,
            "asd_jax": asd_jax.__version__,
            "recipe": self.config.recipe,
            "config": dataclasses.asdict(self.config),
            "groups": [list(group) for group in self.groups],
            "scorers": {b: [scorers.kind_of(s) for s in f] for b, f in self.scorers.items()},
            "ensemble": ensembles.to_dict(self.ensemble),
        }
        text = json.dumps(plain(about), indent=2, ensure_ascii=False)
        write_whole(os.path.join(folder, "detector.json"), text.encode())

    @classmethod
    def load(cls, folder: str) -> "Detector":
        """Reads a folder that `save` wrote.

        Raises:
            UserError: the folder holds no detector, or one of a newer format.
        """
        about, arrays = read_folder(folder)
        groups = tuple((g[0], g[1]) for g in about["groups"])
        fitted = {
            branch: [
                scorers.from_arrays(kind, below(arrays, f"scorers/{branch}/{number}/"))
                for number, kind in enumerate(kinds)
            ]
            for branch, kinds in about["scorers"].items()
        }
        config = from_config(Ensemble, about["config"])
        variables = unflatten_tree(below(arrays, "variables/"))
        variables["normaliser"] = restore_normaliser(variables.get("normaliser", {}))
        return cls(
            config=config,
            groups=groups,
            variables=variables,
            scorers=fitted,
            ensemble=ensembles.from_dict(about["ensemble"]),
            thresholds=arrays["thresholds"],
            normal_scores=tuple(arrays[f"normal_scores/{g}"] for g in range(len(groups))),
            loudness=arrays["loudness"],
            frame_mean=arrays["frame_mean"],
            frame_std=arrays["frame_std"],
        )


def decide(score: float, threshold: float) -> int:
    """1 above the threshold, 0 up to it, UNKNOWN where there is none."""
    return int(score > threshold) if np.isfinite(threshold) else UNKNOWN


def score_groups(
    fitted: Mapping[str, Sequence[Any]],
    features: Mapping[str, Any],
    group: Int[np.ndarray, "clips"],
) -> dict[str, Float[np.ndarray, "clips"]]:
    """Scores each branch's features `[clips, dim]` by the scorer of each clip's group."""
    scores = {}
    for branch, by_group in fitted.items():
        scores[branch] = np.zeros(len(group))
        for number in np.unique(group):
            rows = np.flatnonzero(group == number)
            values = scorers.score(by_group[int(number)], features[branch][rows])
            scores[branch][rows] = np.asarray(values)
    return scores


def read_folder(folder: str) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """`detector.json` and the arrays of a detector folder; raises UserError if it is none."""
    try:
        with open(os.path.join(folder, "detector.json"), encoding="utf-8") as file:
            about = json.load(file)
        with np.load(os.path.join(folder, "arrays.npz"), allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except (OSError, ValueError, KeyError) as error:
        raise UserError(
            f"{folder} holds no detector ({error}); give the folder `detector` of a finished run."
        ) from error
    if about.get("format", 0) > FORMAT:
        raise UserError(f"{folder} was written by a newer asd_jax ({about.get('asd_jax')}).")
    return about, arrays


def load_detector(folder: str) -> Any:
    """The detector in a folder, of whatever recipe: all answer `score` and have `groups`.

    Raises:
        UserError: the folder holds no detector, or one of an unknown recipe.
    """
    recipe = read_folder(folder)[0].get("recipe")
    if recipe == "pump_classifier":
        from asd_jax.recipes.classifier_detector import ClassifierDetector

        return ClassifierDetector.load(folder)
    if recipe != "ensemble":
        raise UserError(f"{folder} holds a detector of the recipe {recipe!r}, which is unknown.")
    return Detector.load(folder)


def below(arrays: Mapping[str, np.ndarray], prefix: str) -> dict[str, np.ndarray]:
    """The arrays whose names start with `prefix`, without it."""
    return {n[len(prefix) :]: value for n, value in arrays.items() if n.startswith(prefix)}


def flatten_tree(tree: Mapping[str, Any], prefix: str = "") -> dict[str, np.ndarray]:
    """Nested mappings and named tuples of arrays as `{"a/b": array}`; None is left out."""
    flat: dict[str, np.ndarray] = {}
    for name, value in tree.items():
        if hasattr(value, "_asdict"):
            value = value._asdict()
        if isinstance(value, Mapping):
            flat |= flatten_tree(value, f"{prefix}{name}/")
        elif value is not None:
            flat[prefix + name] = np.asarray(value)
    return flat


def unflatten_tree(flat: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """The nested mappings of `flatten_tree`."""
    tree: dict[str, Any] = {}
    for name, value in flat.items():
        *parents, leaf = name.split("/")
        node = tree
        for parent in parents:
            node = node.setdefault(parent, {})
        node[leaf] = jnp.asarray(value)
    return tree


def restore_normaliser(fields: Mapping[str, Any]) -> Any:
    """The named tuple that `flatten_tree` took apart."""
    from asd_jax.features.normalise import Normaliser

    return Normaliser(**fields)


def _power_only(spec: LogMel) -> LogMel:
    return dataclasses.replace(spec, channels=("power",))
