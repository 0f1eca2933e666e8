"""Simple scores that need no network: what every result is shown beside.

Each row but the level is one Ledoit-Wolf Gaussian a machine on one vector of `reference_views`.
"""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float

from asd_jax.features.statistics import REFERENCES
from asd_jax.scoring.scorers.covariance import ledoit_wolf, precision_factor
from asd_jax.scoring.scorers.features import left_out

# Keys of results.json by the view, and what a reader calls them.
KEYS = {
    "mean": "mean_log_mel",
    "loud": "loud_frames",
    "quiet": "quiet_frames",
    "power": "mean_power",
}
NAMES = {
    "level": "level alone",
    "mean_log_mel": "Gaussian on the mean log-mel",
    "loud_frames": "Gaussian on the loud frames",
    "quiet_frames": "Gaussian on the quiet frames",
    "mean_power": "Gaussian on the log of the mean power",
    "equal_sum": "equal sum of mean, loud and quiet",
}
SUMMED = ("mean", "loud", "quiet")


def reference_scores(
    normal: Mapping[str, np.ndarray], tested: Mapping[str, np.ndarray]
) -> dict[str, Float[np.ndarray, "tests"]]:
    """Scores of one machine's test clips by each of `NAMES`; higher is more anomalous.

    Args:
        normal: `frame_level` `[clips, 1]` and `frame_references` `[clips, dim]` of its normal
            training clips.
        tested: the same of clips to score.
    """
    level = normal["frame_level"].mean()
    scores = {"level": np.abs(tested["frame_level"][:, 0] - level).astype(np.float64)}
    views = (np.split(np.asarray(part["frame_references"], np.float64), len(REFERENCES), axis=1)
             for part in (normal, tested))  # fmt: skip
    total = 0.0
    for name, seen, asked in zip(REFERENCES, *views, strict=True):
        distance = _distances(seen, asked)
        scores[KEYS[name]] = distance
        if name in SUMMED:
            held = np.log(left_out(seen, _distances)) if len(seen) > 1 else np.zeros(1)
            total = total + (np.log(distance) - held.mean()) / max(held.std(), 1e-6)
    scores["equal_sum"] = np.asarray(total)
    return scores


def _distances(
    normal: Float[np.ndarray, "clips dim"], tested: Float[np.ndarray, "tests dim"]
) -> Float[np.ndarray, "tests"]:
    """Squared Mahalanobis distances from the normal clips."""
    mean = normal.mean(0)
    factor, _ = precision_factor(ledoit_wolf(normal - mean))
    return np.maximum(np.sum(((tested - mean) @ factor) ** 2, axis=1), 1e-9)
