"""The challenges' own mean scores, year by year (DCASE Task 2)."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, Int, Shaped

from asd_jax.scoring import metrics

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
