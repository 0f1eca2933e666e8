"""What is heard: the real command on every set and seed, beside the simple references.

    python -m tests.benchmarks.detection [--sets=v1,v2,alike] [--seeds=0,1,2] [--output=FILE.json]
        [--degradation=DIR] [--degradation16=DIR] [--motors=DIR] [-- --config.FIELD=VALUE ...]

Each row is the mean AUC over machines of a run of its own, in a process of its own. `best
reference` is the best of the references on that very run: which one it is differs from row to row
and is known only with the labels. Development used seeds 0 to 2 of the synthetic machines; 10 to 14
are for reporting. DIR holds a set in MIMII's layout; none is part of the project.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from typing import Any

import numpy as np

SYNTHETIC = {"v1": "quickstart", "v2": "quickstart,v2", "alike": "alike"}
BRANCHES = ("spectral", "temporal", "statistics")


def command(name: str, seed: int, options: argparse.Namespace) -> list[str]:
    """The flags of one run."""
    if name in SYNTHETIC:
        return [
            f"--config=configs/ensemble.py:{SYNTHETIC[name]}",
            f"--config.synthetic.seed={seed}",
            f"--config.seed={seed}",
        ]
    root = getattr(options, name)
    layout = "folder" if name == "motors" else "mimii"
    return [
        "--config=configs/ensemble.py:folder",
        f"--config.data.root={root}",
        f"--config.data.layout={layout}",
        f"--config.seed={seed}",
    ]


def run(name: str, seed: int, options: argparse.Namespace) -> dict[str, Any]:
    """One run's figures."""
    with tempfile.TemporaryDirectory() as folder:
        workdir = os.path.join(folder, "run")
        flags = [*command(name, seed, options), f"--workdir={workdir}", *options.more]
        began = time.monotonic()
        subprocess.run(
            [sys.executable, "-m", "asd_jax.main", *flags],
            check=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL if options.quiet else None,
        )
        seconds = time.monotonic() - began
        with open(os.path.join(workdir, "results.json"), encoding="utf-8") as file:
            results = json.load(file)
    references = {k: v for k, v in results["references"].items() if v is not None}
    return {
        "set": name,
        "seed": seed,
        "ensemble": results["mean"]["auc"],
        "interval": results["mean"].get("auc_interval"),
        "branches": {k: v["auc"] for k, v in results["mean"].get("branches", {}).items()},
        "accuracy": results["identification"]["accuracy"],
        "references": references,
        "seconds": round(seconds),
        "timing": results["timing"],
    }


def table(rows: Sequence[dict[str, Any]]) -> str:
    """The rows as Markdown, with a mean for each set."""
    lines = [
        f"| set | seed | ID accuracy | {' | '.join(BRANCHES)} | ensemble | best reference | "
        "seconds |",
        f"| --- | --- | --- | {'--- | ' * len(BRANCHES)}--- | --- | --- |",
    ]
    for name in dict.fromkeys(row["set"] for row in rows):
        own = [row for row in rows if row["set"] == name]
        lines += [_line(name, str(row["seed"]), [row]) for row in own]
        if len(own) > 1:
            lines.append(_line(f"**{name}**", "mean", own))
    return "\n".join(lines)


def _line(name: str, seed: str, rows: Sequence[dict[str, Any]]) -> str:
    means = {k: np.mean([row["references"][k] for row in rows]) for k in rows[0]["references"]}
    best = max(means, key=lambda k: means[k])
    cells = [
        name,
        seed,
        _mean([row["accuracy"] for row in rows]),
        *(_mean([row["branches"].get(name) for row in rows]) for name in BRANCHES),
        _mean([row["ensemble"] for row in rows]),
        f"{means[best]:.3f} ({best})",
        f"{np.mean([row['seconds'] for row in rows]):.0f}",
    ]
    return f"| {' | '.join(cells)} |"


def _mean(values: Sequence[float | None]) -> str:
    known = [value for value in values if value is not None]
    return f"{np.mean(known):.3f}" if known else "-"


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sets", default="v1,v2,alike")
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--output", default="")
    parser.add_argument("--quiet", action="store_true")
    for name in ("degradation", "degradation16", "motors"):
        parser.add_argument(f"--{name}", default="", metavar="DIR")
    parser.add_argument("more", nargs="*", help="more flags of asd_jax.main, after --")
    options = parser.parse_args(arguments)
    names = [name for name in options.sets.split(",") if name]
    names += [n for n in ("degradation", "degradation16", "motors") if getattr(options, n)]
    rows = []
    for name in names:
        for seed in map(int, options.seeds.split(",")):
            rows.append(run(name, seed, options))
            print(table(rows[-1:]).splitlines()[-1], flush=True)
            if options.output:
                with open(options.output, "w", encoding="utf-8") as file:
                    json.dump(rows, file, indent=1)
    print(table(rows))


if __name__ == "__main__":
    main()
