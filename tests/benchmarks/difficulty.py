"""How hard a set is for two simple references: `python -m tests.benchmarks.difficulty ROOT`.

The level of a clip alone must say little, and a Gaussian on the time-averaged log-mel spectrum must
see the faults that show in an average and miss those that do not.
"""

import csv
import os
import pathlib
import sys
from collections import defaultdict

import numpy as np
from jaxtyping import Float

from asd_jax.data.synthetic.write import GROUND_TRUTH
from asd_jax.errors import UserError


def describe_difficulty(root: str | os.PathLike[str]) -> dict[str, dict[str, float]]:
    """Measures a set with the official MIMII split: the first normals by name are for testing.

    Per (SNR, type) folder and ID, as many first normals as there are anomalies, and all anomalies,
    are the test; the other normals fit the references.

    Args:
        root: Folder of a set from `write_machines`.

    Returns:
        For "folder/id" the AUC of the `level` (RMS in dB: higher is more anomalous), of its
        distance from the training median (`level_distance`), of a Ledoit-Wolf Gaussian on the time
        mean of the log-mel spectrum (`mean_logmel`: 224 mels, n_fft 2048, hop 512), and the latter
        for the anomalies of each fault alone.

    Raises:
        UserError: `root` holds no such set or too few normals.
    """
    folder = pathlib.Path(root)
    truth = _faults(folder)
    table = {}
    for place in sorted(path for path in folder.glob("*_dB_*/id_*") if path.is_dir()):
        machine_type = place.parent.name.split("_dB_")[1]
        normal = [_describe(path) for path in sorted((place / "normal").glob("*.wav"))]
        abnormal = [_describe(path) for path in sorted((place / "abnormal").glob("*.wav"))]
        if len(normal) < len(abnormal) + 2 or not abnormal:
            raise UserError(f"{place} has too few normal or no anomalous clips to split.")
        kinds = [truth[machine_type, place.name, number] for number in range(len(abnormal))]
        table[f"{place.parent.name}/{place.name}"] = _aucs(
            np.stack(normal), np.stack(abnormal), np.array(kinds)
        )
    return table


def _faults(folder: pathlib.Path) -> dict[tuple[str, str, int], str]:
    path = folder / GROUND_TRUTH
    if not path.exists():
        raise UserError(f"{folder} has no {GROUND_TRUTH}: name a folder that write_machines wrote.")
    with open(path, newline="", encoding="utf-8") as file:
        return {
            (row["machine_type"], row["machine_id"], int(row["number"])): row["fault"]
            for row in csv.DictReader(file)
            if row["label"] == "abnormal"
        }


def _describe(path: pathlib.Path) -> Float[np.ndarray, "mels_and_level"]:
    """Time mean of the log-mel spectrum in dB, and the level in dB as the last number."""
    import librosa
    import soundfile

    sound, rate = soundfile.read(path, dtype="float32", always_2d=True)
    mel = librosa.feature.melspectrogram(
        y=sound[:, 0], sr=rate, n_fft=2048, hop_length=512, n_mels=224
    )
    level = 10 * np.log10(np.mean(sound[:, 0] ** 2))
    return np.append(librosa.power_to_db(mel, amin=1e-10, top_db=None).mean(axis=1), level)


def _aucs(normal: np.ndarray, abnormal: np.ndarray, kinds: np.ndarray) -> dict[str, float]:
    from sklearn.covariance import LedoitWolf
    from sklearn.metrics import roc_auc_score

    count = len(abnormal)
    test, train = np.concatenate([normal[:count], abnormal]), normal[count:]
    label = np.repeat([0, 1], count)
    gaussian = LedoitWolf().fit(train[:, :-1]).mahalanobis(test[:, :-1])
    out = {
        "level": roc_auc_score(label, test[:, -1]),
        "level_distance": roc_auc_score(label, np.abs(test[:, -1] - np.median(train[:, -1]))),
        "mean_logmel": roc_auc_score(label, gaussian),
    }
    for kind in sorted(set(kinds)):
        chosen = np.concatenate([np.ones(count, bool), kinds == kind])
        out[kind] = roc_auc_score(label[chosen], gaussian[chosen])
    return {name: float(value) for name, value in out.items()}


def main() -> None:
    """Prints the table, and the means over the IDs of each type."""
    if len(sys.argv) != 2:
        raise SystemExit("usage: python -m tests.benchmarks.difficulty ROOT")
    try:
        table = describe_difficulty(sys.argv[1])
    except UserError as error:
        raise SystemExit(str(error)) from None
    groups = defaultdict(list)
    for name, row in table.items():
        groups[name.split("/")[0]].append(row)
        print(f"{name:22s}" + "  ".join(f"{key} {value:.3f}" for key, value in row.items()))
    for name, rows in groups.items():
        means = {key: np.mean([row[key] for row in rows]) for key in rows[0]}
        print(f"{name:22s}" + "  ".join(f"{key} {value:.3f}" for key, value in means.items()))


if __name__ == "__main__":
    main()
