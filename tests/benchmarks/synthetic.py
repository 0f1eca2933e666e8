"""How hard the synthetic machines are: are units told apart, what do simple references find.

    python -m tests.benchmarks.synthetic --version=2 --seeds=0,1,2
    python -m tests.benchmarks.synthetic --version=2 --seeds=0,1,2 --sounds

`--sounds` prints only what the difficulty was set by: the share of clips whose unit a shrinkage LDA
on the mean log-mel names right, and levels. Nothing is written to disk.
"""

import argparse
import dataclasses
import time
from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from asd_jax.data import synthetic
from asd_jax.data.synthetic import render
from asd_jax.data.synthetic.sounds import decibel
from asd_jax.data.synthetic.write import PHYSICS

RATE, MELS = 16000, 64
FOLDS = 5
SUM = ("mean dB", "loud", "quiet")  # of `equal sum`


@dataclasses.dataclass(frozen=True)
class Heard:
    """What is kept of one clip: summaries of its log-mel spectrum, and levels."""

    views: dict[str, np.ndarray]
    kind: str
    severity: str
    levels: dict[str, float]


def listen(settings: synthetic.SyntheticMachines, plan: object, bank: np.ndarray) -> Heard:
    """Renders a clip at the set's first SNR and summarises it."""
    import librosa

    parts = PHYSICS[settings.version].render_clip(settings, plan)
    sound = render.mix(parts, settings.snr[0])[:, 0].astype(np.float32) / 32768
    power = bank @ np.abs(librosa.stft(sound, n_fft=2048, hop_length=512)) ** 2
    hall = parts.hall[:, 0] * decibel(-settings.snr[0])
    levels = {
        "clip": _db(np.mean(sound**2)),
        "machine": _db(np.mean(parts.machine[:, 0] ** 2)),
        "hall": _db(np.mean(hall**2)),
        "hall is loudest": float(_peak(hall) > _peak(parts.machine[:, 0])),
    }
    return Heard(_views(power), getattr(plan, "kind", ""), str(plan.severity), levels)


def _views(power: np.ndarray) -> dict[str, np.ndarray]:
    """Summaries `[mels]` of a mel spectrogram `[mels, frames]`, in dB."""
    db = 10 * np.log10(np.maximum(power, 1e-10))
    frames = db.shape[1]
    ranked, weights = np.sort(db, axis=1), 0.9 ** np.arange(frames)
    return {
        "mean dB": db.mean(1),
        "loud": ranked[:, ::-1] @ (weights / weights.sum()),
        "quiet": ranked[:, : int(0.6 * frames)].mean(1),
        "dB of mean power": 10 * np.log10(np.maximum(power.mean(1), 1e-10)),
        "spread": db.std(1),
        "frame differences": np.abs(np.diff(db, axis=1)).mean(1),
    }


def _db(power: float) -> float:
    return float(10 * np.log10(power))


def _peak(sound: np.ndarray) -> float:
    """Largest power of an eighth of a second."""
    pieces = sound[: len(sound) // 2000 * 2000].reshape(-1, 2000)
    return float(np.max(np.mean(pieces**2, axis=1)))


def render_set(settings: synthetic.SyntheticMachines) -> dict[tuple[str, str, str], list[Heard]]:
    """All clips of a set: lists by (type, ID, label), in order of their numbers."""
    import librosa

    bank = librosa.filters.mel(sr=RATE, n_fft=2048, n_mels=MELS)
    physics = PHYSICS[settings.version]
    keys = [
        (kind, unit, label, number)
        for kind in settings.types
        for unit in settings.ids
        for label, count in (("normal", settings.normal), ("abnormal", settings.abnormal))
        for number in range(count)
    ]
    with ThreadPoolExecutor(2) as pool:
        heard = pool.map(
            lambda key: listen(settings, physics.plan_clip(settings, *key), bank), keys
        )
        clips = defaultdict(list)
        for key, one in zip(keys, heard, strict=True):
            clips[key[:3]].append(one)
    return clips


def identify(clips: dict, settings: synthetic.SyntheticMachines, kind: str) -> tuple[float, float]:
    """Share of clips of a type whose unit a shrinkage LDA names right.

    Returns:
        Of training clips, `FOLDS`-fold cross-validated, and of the test's normal clips.
    """
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
    from sklearn.model_selection import StratifiedKFold, cross_val_score

    x, y, rest, truth = [], [], [], []
    for number, unit in enumerate(settings.ids):
        means = [one.views["mean dB"] for one in clips[kind, unit, "normal"]]
        x += means[settings.abnormal :]
        y += [number] * len(means[settings.abnormal :])
        rest += means[: settings.abnormal]
        truth += [number] * settings.abnormal
    model = LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto")
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=0)
    held_out = cross_val_score(model, np.stack(x), y, cv=folds).mean()
    tested = np.mean(model.fit(np.stack(x), y).predict(np.stack(rest)) == truth)
    return float(held_out), float(tested)


def references(normal: list[Heard], abnormal: list[Heard]) -> dict[str, np.ndarray]:
    """Scores `[tested normals + anomalies]` of one machine by each reference.

    A Ledoit-Wolf Gaussian a view, as a z-score of the log distance, whose mean and deviation come
    from cross-fitting on the training clips; `equal sum` adds those of `SUM`.
    """
    from sklearn.covariance import LedoitWolf

    count, scores = len(abnormal), {}
    for view in normal[0].views:
        train, test = (
            np.stack([one.views[view] for one in part])
            for part in (normal[count:], normal[:count] + abnormal)
        )
        fold, held = np.arange(len(train)) % FOLDS, np.empty(len(train))
        for k in range(FOLDS):
            model = LedoitWolf().fit(train[fold != k])
            held[fold == k] = np.log(model.mahalanobis(train[fold == k]))
        found = np.log(LedoitWolf().fit(train).mahalanobis(test))
        scores[view] = (found - held.mean()) / held.std()
    scores["equal sum"] = sum(scores[view] for view in SUM)
    level = np.array([one.levels["clip"] for one in normal[:count] + abnormal])
    return {**scores, "level": level}


def aucs(clips: dict, settings: synthetic.SyntheticMachines) -> dict[str, dict[str, float]]:
    """Mean AUC over the machines of each type, kind and severity, by reference."""
    from sklearn.metrics import roc_auc_score

    found = defaultdict(lambda: defaultdict(list))
    for kind in settings.types:
        for unit in settings.ids:
            normal, abnormal = (clips[kind, unit, label] for label in ("normal", "abnormal"))
            for name, score in references(normal, abnormal).items():
                healthy, faulty = np.split(score, [len(abnormal)])
                for column, chosen in _columns(kind, abnormal).items():
                    part = np.concatenate([healthy, faulty[chosen]])
                    label = np.repeat([0, 1], [len(healthy), int(chosen.sum())])
                    found[name][column].append(roc_auc_score(label, part))
    return {n: {c: float(np.mean(v)) for c, v in row.items()} for n, row in found.items()}


def _columns(machine_type: str, abnormal: list[Heard]) -> dict[str, np.ndarray]:
    """Which anomalies belong to each column of the table."""
    everything = np.ones(len(abnormal), bool)
    columns = {"all": everything, machine_type: everything}
    if abnormal[0].kind:
        for field in ("kind", "severity"):
            values = np.array([getattr(one, field) for one in abnormal])
            columns |= {value: values == value for value in sorted(set(values))}
        values = np.array([one.kind for one in abnormal])
        columns |= {f"{machine_type}/{value}": values == value for value in sorted(set(values))}
    return columns


def describe(clips: dict, settings: synthetic.SyntheticMachines, seed: int) -> None:
    """Prints how well units are told apart, and levels in dB."""
    for kind in settings.types:
        held_out, tested = identify(clips, settings, kind)
        ours = [one for key, part in clips.items() if key[0] == kind for one in part]
        levels = {name: np.array([one.levels[name] for one in ours]) for name in ours[0].levels}
        share = levels.pop("hall is loudest").mean()
        text = ", ".join(f"{name} {v.mean():.1f} ± {v.std():.1f}" for name, v in levels.items())
        print(
            f"seed {seed} {kind:7s} LDA: held out {held_out:.2f}, test {tested:.2f}; dB: {text}; "
            f"hall has the loudest moment in {share:.2f}",
            flush=True,
        )


def main(arguments: Sequence[str] | None = None) -> None:
    """Prints the tables."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.synthetic")
    parser.add_argument("--version", type=int, default=2)
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--types", default=",".join(synthetic.TYPES))
    parser.add_argument("--ids", type=int, default=3, help="units of each type")
    parser.add_argument("--normal", type=int, default=90)
    parser.add_argument("--abnormal", type=int, default=30)
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--snr", type=int, default=0, help="dB: 6, 0 or -6")
    parser.add_argument("--sounds", action="store_true", help="no detector: units and levels")
    options = parser.parse_args(arguments)
    tables = []
    for seed in map(int, options.seeds.split(",")):
        settings = synthetic.SyntheticMachines(
            types=tuple(options.types.split(",")),
            ids=synthetic.IDS[: options.ids],
            normal=options.normal,
            abnormal=options.abnormal,
            seconds=options.seconds,
            snr=(options.snr,),
            seed=seed,
            version=options.version,
        )
        begin = time.monotonic()
        clips = render_set(settings)
        number = sum(map(len, clips.values()))
        print(f"seed {seed}: {number} clips, {number / (time.monotonic() - begin):.0f} a second")
        describe(clips, settings, seed)
        if not options.sounds:
            tables.append(aucs(clips, settings))
    if tables:
        columns = list(tables[0]["level"])
        print("\nAUC, mean over the seeds; for `all` each seed too")
        for name in tables[0]:
            seeds = ", ".join(f"{table[name]['all']:.3f}" for table in tables)
            print(f"\n{name}: all {np.mean([t[name]['all'] for t in tables]):.3f} ({seeds})")
            row = {c: np.mean([t[name][c] for t in tables]) for c in columns if c != "all"}
            print("  " + "  ".join(f"{column} {value:.3f}" for column, value in row.items()))


if __name__ == "__main__":
    main()
