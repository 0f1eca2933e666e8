"""Runs of several seeds, trained side by side, with mean and standard deviation over them."""

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from asd_jax.files import write_json
from asd_jax.report.files import read_results
from asd_jax.runs import packed
from asd_jax.runs.cells import of_seeds


def run(values: Mapping[str, Any], folder: str) -> int:
    """Makes runs of `values["pack"]` seeds in folders `seed=N`, and `seeds.json` beside them."""
    cells = of_seeds(values, folder)
    status = packed.run(cells)
    summary = summarise({cell.values["seed"]: cell.folder for cell in cells})
    write_json(os.path.join(folder, "seeds.json"), summary)
    say(summary)
    return status


def summarise(folders: Mapping[int, str]) -> dict[str, Any]:
    """Mean and standard deviation over the seeds, of each machine and of their mean.

    Args:
        folders: of finished runs, by their seeds.

    Returns:
        `{"seeds", "mean": {"auc": [mean, deviation], "pauc": ...}, "groups": [...]}`.
    """
    results = [read_results(os.path.join(path, "results.json")) for path in folders.values()]
    groups: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for result in results:
        for group in result["groups"]:
            groups.setdefault((group["machine_type"], group["machine_id"]), []).append(group)
    return {
        "seeds": list(folders),
        "mean": _over_seeds([result["mean"] for result in results]),
        "groups": [
            {"machine_type": kind, "machine_id": name, **_over_seeds(found)}
            for (kind, name), found in groups.items()
        ],
    }


def _over_seeds(found: Sequence[Mapping[str, Any]]) -> dict[str, list[float] | None]:
    over: dict[str, list[float] | None] = {}
    for name in ("auc", "pauc"):
        values = [one[name] for one in found if one.get(name) is not None]
        spread = float(np.std(values, ddof=1)) if len(values) > 1 else 0.0
        over[name] = [float(np.mean(values)), spread] if values else None
    return over


def say(summary: Mapping[str, Any]) -> None:
    """Prints the table."""
    print(f"Over seeds {', '.join(map(str, summary['seeds']))}: mean and standard deviation")
    rows = [(f"{g['machine_type']} {g['machine_id']}", g) for g in summary["groups"]]
    for name, row in [*rows, ("mean", summary["mean"])]:
        shown = [f"{k.upper()} {v[0]:.3f} +- {v[1]:.3f}" for k in ("auc", "pauc") if (v := row[k])]
        print(f"  {name:<24}" + "   ".join(shown or ["no test clips"]))
