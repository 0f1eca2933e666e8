"""The figures of results.json from the rows of scores.csv."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, Int, Shaped

from asd_jax.naming import machine_name
from asd_jax.scoring import classification, metrics

AVERAGED = (
    "auc",
    "pauc",
    "pauc_raw",
    "recall",
    "false_alarm_rate",
    "eer",
    "recall_at_eer",
    "auc_source",
    "auc_target",
)


def summarise(
    rows: Sequence[Mapping[str, Any]],
    *,
    draws: int = 1000,
    level: float = 0.95,
    seed: int = 0,
    evaluation: Callable[[str, str], bool] | None = None,
) -> dict[str, Any]:
    """Figures of each machine and their means, as strict JSON can hold them.

    Args:
        rows: as scores.csv holds them. Rows of unknown label (-1) count nowhere; a row without a
            finite score is left out and named.
        draws: of the bootstrap interval of each AUC; 0 for none.
        level: of the interval.
        seed: of the bootstrap.
        evaluation: whether a machine (type, ID) is of the challenge's evaluation set; None where
            there is no such thing.

    Returns:
        `groups`: one mapping a (machine_type, machine_id): `clips_normal`, `clips_anomaly`,
        `auc`, `auc_interval`, `pauc` (McClish, p = 0.1), `pauc_raw` (area over p), `recall` and
        `false_alarm_rate` of the decisions, `threshold`, `eer`, `recall_at_eer` (an oracle), with
        domains `auc_source`, `auc_target` and `domains`, with several SNRs in the column `snr`
        figures of each in `snr`, and `branches`.
        `mean`: each figure's arithmetic mean over IDs, then types; `minimum` (AUC, pAUC);
        `by_type`; `by_snr`; `official` scores by year, and where machines of both sets are there
        `official_sets`, the same of `development` and `evaluation` machines apart; `branches`.
        `incomplete`: sentences on the machines that lack a figure. Such figures are None.
    """
    members: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for row in rows:
        key = (str(row.get("machine_type", "")), str(row.get("machine_id", "")))
        members.setdefault(key, []).append(row)
    branches = list(dict.fromkeys(k for row in rows for k in row if k.startswith("score_")))
    groups, incomplete = [], []
    for (machine_type, machine_id), own in members.items():
        name = machine_name((machine_type, machine_id), members) or "the machine"
        figures, missing = _group(own, branches, draws, level, seed)
        groups.append({"machine_type": machine_type, "machine_id": machine_id, **figures})
        incomplete += [f"{name}: {reason}" for reason in missing]
    mean = _mean(groups, [b.removeprefix("score_") for b in branches])
    if evaluation and (sets := _official_sets(groups, evaluation)):
        mean["official_sets"] = sets
    return _plain({"groups": groups, "mean": mean, "incomplete": incomplete})


def _group(
    rows: Sequence[Mapping[str, Any]], branches: Sequence[str], draws: int, level: float, seed: int
) -> tuple[dict[str, Any], list[str]]:
    """Figures of one machine, and what is missing."""
    labels, scores = _column(rows, "label", -1.0).astype(np.int64), _column(rows, "score")
    known = labels >= 0
    finite = np.isfinite(scores)
    missing = [] if finite.all() else [f"{np.sum(~finite)} clips have no finite score."]
    keep = known & finite
    own = [row for row, kept in zip(rows, keep, strict=True) if kept]
    labels, scores = labels[keep], scores[keep]
    if not (np.any(labels == 0) and np.any(labels == 1)):
        counts = f"{np.sum(labels == 0)} normal and {np.sum(labels == 1)} anomalous clips"
        missing.append(f"{counts} with a known label give no AUC.")
    rate = metrics.eer(labels, scores)[0]
    figures = {
        "clips_normal": int(np.sum(labels == 0)),
        "clips_anomaly": int(np.sum(labels == 1)),
        "auc": metrics.auc(labels, scores),
        "auc_interval": metrics.bootstrap(labels, scores, draws=draws, level=level, seed=seed)
        if draws
        else None,
        "pauc": metrics.pauc(labels, scores),
        "pauc_raw": metrics.pauc(labels, scores, raw=True),
        **_decided(own, labels, scores),
        "eer": rate,
        "recall_at_eer": 1.0 - rate,
    }
    domains = np.array([str(row.get("domain") or "") for row in own], dtype=object)
    if np.isin(domains, DOMAINS).any():
        figures |= domain_areas(labels, scores, domains)
    figures |= _by_snr(own, labels, scores)
    figures["branches"] = {b.removeprefix("score_"): _branch(own, labels, b) for b in branches}
    return figures, missing


def _by_snr(
    rows: Sequence[Mapping[str, Any]], labels: np.ndarray, scores: np.ndarray
) -> dict[str, Any]:
    """Areas at each of several signal-to-noise ratios (MIMII), one alone needs no table."""
    levels = np.array([str(row.get("snr") or "") for row in rows], dtype=object)
    names = sorted(set(levels) - {""}, key=float)
    if len(names) < 2:
        return {}
    parts = {name: levels == name for name in names}
    return {
        "snr": {
            name: {
                "auc": metrics.auc(labels[own], scores[own]),
                "pauc": metrics.pauc(labels[own], scores[own]),
            }
            for name, own in parts.items()
        }
    }


def _official_sets(
    groups: Sequence[Mapping[str, Any]], evaluation: Callable[[str, str], bool]
) -> dict[str, dict[str, float]]:
    """The official scores of each set's machines; {} where all are of one set."""
    sets: dict[str, list[Mapping[str, Any]]] = {"development": [], "evaluation": []}
    for group in groups:
        is_evaluation = evaluation(group["machine_type"], group["machine_id"])
        sets["evaluation" if is_evaluation else "development"].append(group)
    if not all(sets.values()):
        return {}
    return {name: official_means(members) for name, members in sets.items()}


def _decided(
    rows: Sequence[Mapping[str, Any]], labels: np.ndarray, scores: np.ndarray
) -> dict[str, float]:
    """Recall and false alarms of the stored decisions, or of score above threshold."""
    thresholds = _column(rows, "threshold")
    decisions = _column(rows, "decision")
    decisions = np.where(decisions >= 0, decisions, np.nan)
    above = np.where(np.isfinite(thresholds), scores > thresholds, np.nan)
    decisions = np.where(np.isnan(decisions), above, decisions)
    made = ~np.isnan(decisions)
    table = classification.confusion(labels[made], decisions[made] > 0)
    found = classification.measures(np.array(table))
    common = np.unique(thresholds[np.isfinite(thresholds)])
    return {
        **{name: float(found[name]) for name in ("recall", "precision", "f1", "false_alarm_rate")},
        "threshold": float(common[0]) if len(common) == 1 else float("nan"),
    }


def _branch(rows: Sequence[Mapping[str, Any]], labels: np.ndarray, column: str) -> dict[str, float]:
    scores = _column(rows, column)
    finite = np.isfinite(scores)
    labels, scores = labels[finite], scores[finite]
    return {"auc": metrics.auc(labels, scores), "pauc": metrics.pauc(labels, scores)}


def _mean(groups: Sequence[Mapping[str, Any]], branches: Sequence[str]) -> dict[str, Any]:
    fields = [f for f in AVERAGED if any(f in group for group in groups)]
    filled = [{**dict.fromkeys(fields, float("nan")), **group} for group in groups]
    types = {field: by_type(filled, field) for field in fields}
    mean: dict[str, Any] = {field: _average(types[field].values()) for field in fields}
    mean["minimum"] = {f: _least(group[f] for group in groups) for f in ("auc", "pauc")}
    mean["by_type"] = {
        name: {field: types[field][name] for field in fields} for name in types.get("auc", {})
    }
    levels = dict.fromkeys(level for group in groups for level in group.get("snr", {}))
    if levels:
        mean["by_snr"] = {level: _at_snr(groups, level) for level in levels}
    mean["official"] = official_means(groups)
    mean["branches"] = {}
    for branch in branches:
        tables = [{"machine_type": g["machine_type"], **g["branches"][branch]} for g in groups]
        mean["branches"][branch] = {
            **{f: _average(by_type(tables, f).values()) for f in ("auc", "pauc")},
            "minimum_auc": _least(table["auc"] for table in tables),
        }
    return mean


def _at_snr(groups: Sequence[Mapping[str, Any]], level: str) -> dict[str, float]:
    """Means over IDs, then types, at one signal-to-noise ratio."""
    tables = [
        {"machine_type": group["machine_type"], **group["snr"][level]}
        for group in groups
        if level in group.get("snr", {})
    ]
    return {f: _average(by_type(tables, f).values()) for f in ("auc", "pauc")}


def _column(rows: Sequence[Mapping[str, Any]], field: str, default: float = math.nan) -> np.ndarray:
    values = [row.get(field) for row in rows]
    return np.array([default if v is None or v == "" else float(v) for v in values], np.float64)


def _average(values: Any) -> float:
    known = [value for value in values if np.isfinite(value)]
    return float(np.mean(known)) if known else float("nan")


def _least(values: Any) -> float:
    return min((value for value in values if np.isfinite(value)), default=float("nan"))


def _plain(value: Any) -> Any:
    """NaN as None, tuples as lists."""
    if isinstance(value, Mapping):
        return {key: _plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(entry) for entry in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


DOMAINS = ("source", "target")


def harmonic(values: Iterable[float]) -> float:
    """Harmonic mean, values clamped at machine epsilon as the official evaluators do."""
    values = np.maximum(np.asarray(list(values), np.float64), np.finfo(np.float64).eps)
    return float(len(values) / np.sum(1.0 / values)) if len(values) else float("nan")


def by_type(groups: Sequence[Mapping[str, Any]], field: str) -> dict[str, float]:
    """Arithmetic mean of a field over the IDs of each machine type; IDs without it left out."""
    found: dict[str, list[float]] = {}
    for group in groups:
        values = found.setdefault(group["machine_type"], [])
        if np.isfinite(group[field]):
            values.append(group[field])
    return {name: float(np.mean(v)) if v else float("nan") for name, v in found.items()}


def domain_areas(
    labels: Int[np.ndarray, "clips"],
    scores: Float[np.ndarray, "clips"],
    domains: Shaped[np.ndarray, "clips"],
) -> dict[str, Any]:
    """Areas of one section by domain.

    `auc_source` and `auc_target` as since 2022: one domain's normals against all anomalies.
    `domains`: each domain alone, as in 2021. NaN where a class is missing.
    """
    found: dict[str, Any] = {"domains": {}}
    for domain in DOMAINS:
        own = domains == domain
        mixed = own | (labels == 1)
        found[f"auc_{domain}"] = metrics.auc(labels[mixed], scores[mixed])
        found["domains"][domain] = {
            "clips_normal": int(np.sum(own & (labels == 0))),
            "clips_anomaly": int(np.sum(own & (labels == 1))),
            "auc": metrics.auc(labels[own], scores[own]),
            "pauc": metrics.pauc(labels[own], scores[own]),
        }
    return found


def official_means(groups: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """The score of each year's rules that the groups allow.

    - '2020': arithmetic means of AUC and pAUC over IDs, then types; the mean of both.
    - '2021': harmonic mean of AUC and pAUC over sections and domains.
    - '2022': harmonic mean of source AUC, target AUC and mixed pAUC over sections; 2023 to 2025
      are the same with one section a machine.

    Args:
        groups: with `machine_type`, `auc`, `pauc`, and for the later years `domain_areas`.

    Groups whose figures are not known are left out; a year that none allows is missing.
    """
    means = {}
    halves = [np.nanmean(list(v)) for v in _known(by_type(groups, f) for f in ("auc", "pauc"))]
    if len(halves) == 2:
        means["2020"] = float(np.mean(halves))
    domains = [d for g in groups for d in g.get("domains", {}).values()]
    year_2021 = [d[f] for d in domains for f in ("auc", "pauc") if np.isfinite(d[f])]
    if year_2021:
        means["2021"] = harmonic(year_2021)
    fields = ("auc_source", "auc_target", "pauc")
    split = [g for g in groups if "domains" in g]
    year_2022 = [g[f] for g in split for f in fields if np.isfinite(g[f])]
    if any(np.isfinite(g[f]) for g in split for f in fields[:2]):
        means["2022"] = harmonic(year_2022)
    return means


def _known(tables: Iterable[Mapping[str, float]]) -> list[list[float]]:
    kept = [[v for v in table.values() if np.isfinite(v)] for table in tables]
    return [values for values in kept if values]
