"""From a score to a decision, by normal clips alone.

A clip is called anomalous when its score lies above the threshold. The wished false-alarm rate is
the one parameter; 0.1 is that of all DCASE baselines (their quantile 0.9).
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from asd_jax.errors import UserError
from asd_jax.scoring.metrics import eer

METHODS = ("gamma", "quantile", "mean_std", "eer")
ORACLES = ("eer",)  # found with test labels: to report, never to deploy
# Below this skewness a gamma distribution is practically a normal one.
LEAST_SKEW = 0.05
POOL_BELOW = 30  # held-out clips; machines with fewer borrow those of their type, or of all
FURTHEST = 10  # times the number of clips: rarer than one in so many, no fit to them can tell
_RATES = np.geomspace(0.49, 1e-9, 300)


def fit_threshold(
    scores: Float[np.ndarray, "clips"],
    *,
    method: str = "gamma",
    false_alarm_rate: float = 0.1,
    labels: Int[np.ndarray, "clips"] | None = None,
) -> float:
    """The threshold that normal clips pass but for the wished share.

    Over normal, gamma, lognormal, t and maximum-of-six scores, 8 to 200 clips and a wished rate
    of 0.1, 'gamma' lands on 0.07 to 0.13 on average. A gamma fit by likelihood about the smallest
    score, as is often done, lands on 0.02 to 0.09: the smallest score says little of where the
    distribution starts.

    Args:
        scores: of held-out normal clips, which no scorer was fitted to ('eer': of test clips).
        method: 'gamma', a shifted gamma with the mean, variance and skewness of the scores, and
            wider for few clips as Student's t is than a normal; 'quantile', the order statistic
            whose expected rate is at most the wished one; 'mean_std', mean plus the standard
            deviations of a normal distribution at the wished rate; 'eer', an oracle.
        false_alarm_rate: the wished share of normal clips above the threshold.
        labels: of 'eer'.

    Raises:
        UserError: no scores, or some that are not finite, or 'eer' without labels.
    """
    if not len(scores):
        raise UserError("No held-out normal scores to set a threshold by; hold out some clips.")
    if not np.isfinite(scores).all():
        raise UserError("Some held-out scores are not finite; mend the branch that made them.")
    if method == "eer" and labels is None:
        raise UserError("threshold 'eer' is an oracle and needs the test labels.")
    if method == "eer" and labels is not None:
        return eer(labels, scores)[1]
    if len(scores) < 2 or np.ptp(scores) == 0.0:
        return float(np.max(scores))
    return float(_FITS[method](np.asarray(scores, np.float64), false_alarm_rate))


def caution(clips: int, *, method: str = "gamma", false_alarm_rate: float = 0.1) -> str:
    """One sentence on what so few held-out clips can't tell, or ''."""
    if method in ORACLES:
        return "The threshold was found with test labels: an oracle, never to be deployed."
    if clips < 2:
        return f"{clips} held-out normal clips say nothing of the spread: record more."
    if method == "quantile" and np.ceil((clips + 1) * (1.0 - false_alarm_rate) - 1e-9) > clips:
        return (
            f"{clips} held-out clips can't show a false-alarm rate of {false_alarm_rate:g}: their "
            f"largest score stands for about {1.0 / (clips + 1):.2f}. Use 'gamma'."
        )
    if clips < 8:
        return f"Only {clips} held-out normal clips: the false-alarm rate is a rough guess."
    return ""


def false_alarm_range(clips: int, rate: float) -> tuple[float, float]:
    """Between which shares of false alarms a threshold for `rate` lies nine times in ten.

    The share of healthy clips above the k-th largest of n is Beta(k, n + 1 - k), whatever their
    distribution (David and Nagaraja 2003, Order Statistics, section 2.1); k is rate (n + 1).

    Args:
        clips: that the threshold is set by.
        rate: wished.
    """
    from scipy import special

    k = rate * (clips + 1)
    low, high = special.betaincinv(k, clips + 1 - k, [0.05, 0.95])
    return float(low), float(high)


def percentile(score: float, normal: Float[np.ndarray, "clips"]) -> float:
    """Share of normal clips with a lower score in percent, equal ones counted half; NaN of none."""
    if not len(normal):
        return float("nan")
    return float(50.0 * (np.mean(normal < score) + np.mean(normal <= score)))


def pooled(
    by_group: Sequence[Float[np.ndarray, "_"]], groups: Sequence[tuple[str, str]], group: int
) -> Float[np.ndarray, "_"]:
    """The healthy scores of a machine, or of all of its type, or of all machines, if too few."""
    alike = [
        own for own, other in zip(by_group, groups, strict=True) if other[0] == groups[group][0]
    ]
    for pool in ([by_group[group]], alike):
        if sum(map(len, pool)) >= POOL_BELOW:
            return np.concatenate(pool)
    return np.concatenate(by_group)


def tail(score: float, healthy: Float[np.ndarray, "clips"], *, beyond: bool = True) -> float:
    """Probability that one more healthy clip scores as high; NaN of none, or of no score.

    Up to the largest of n healthy scores it is (k + 1) / (n + 1), where k of them are as high: the
    p-value of conformal prediction (Vovk, Gammerman and Shafer 2005, section 2.2). Beyond, it falls
    from there as the tail of the fit 'gamma' does, never below 1 / (`FURTHEST` n).

    Args:
        score: of a clip.
        healthy: scores of held-out healthy clips.
        beyond: whether to extrapolate; a probability, which ends at 1, has no such tail.
    """
    clips = len(healthy)
    if not clips or not np.isfinite(score):
        return float("nan")
    rank = (np.sum(healthy >= score) + 1) / (clips + 1)
    if np.any(healthy >= score) or not beyond or clips < 2 or np.ptp(healthy) == 0.0:
        return float(rank)
    limits = _gamma(np.asarray(healthy, np.float64), _RATES)
    inside, outside = np.exp(np.interp([np.max(healthy), score], limits, np.log(_RATES)))
    return float(max(rank * outside / inside, 1.0 / (FURTHEST * clips)))


def tail_words(tail: float | None, healthy_clips: int | None, *, short: bool = False) -> str:
    """A `tail` in words that say how sure it is; '' where there is none.

    Args:
        tail: of a score.
        healthy_clips: the held-out healthy clips that it was found with.
        short: for a column: `3 of 16`, `~1 in 40`, `<1 in 100`.
    """
    clips = healthy_clips
    if tail is None or not clips or not np.isfinite(tail):
        return ""
    above = round(tail * (clips + 1)) - 1
    if above > 0:
        return f"{above} of {clips}" + ("" if short else " held-out healthy clips score as high")
    most = FURTHEST * clips
    if tail * most <= 1.0 + 1e-9:
        power = 10 ** (len(str(most)) - 1)
        least = f"1 in {most // power * power}"  # one digit, rounded down
        found, sure = f"<{least}", f"fewer than {least} healthy clips, roughly"
    else:
        one_in = f"1 in {float(f'{1.0 / tail:.2g}'):.0f}"
        found, sure = f"~{one_in}", f"about {one_in} healthy clips, extrapolated"
    return found if short else f"{sure}: none of the {clips} held out scores as high"


def _gamma(scores: np.ndarray, rate: Any) -> Any:
    from scipy import special  # `stats` has the same quantiles and takes seconds to import

    count, centred = len(scores), scores - scores.mean()
    skewness = np.mean(centred**3) / np.mean(centred**2) ** 1.5
    shape = 4.0 / max(float(skewness), LEAST_SKEW) ** 2
    # Of the standardised distribution; `widen` is 1 for many clips.
    quantile = (special.gammaincinv(shape, 1.0 - rate) - shape) / np.sqrt(shape)
    few = special.stdtrit(count - 1, 1.0 - rate) * np.sqrt(1.0 + 1.0 / count)
    widen = few / special.ndtri(1.0 - rate) if np.all(rate < 0.5) else 1.0
    return scores.mean() + widen * quantile * scores.std(ddof=1)


def _quantile(scores: np.ndarray, rate: float) -> float:
    rank = int(np.ceil((len(scores) + 1) * (1.0 - rate) - 1e-9))
    return np.sort(scores)[min(rank, len(scores)) - 1]


def _mean_std(scores: np.ndarray, rate: float) -> float:
    from scipy import special

    return scores.mean() + special.ndtri(1.0 - rate) * scores.std(ddof=1)


_FITS = {"gamma": _gamma, "quantile": _quantile, "mean_std": _mean_std}
