"""What the pump classifier hears on fresh clips, beside the logistic regression of its own clips.

    python -m tests.benchmarks.classifier [--seeds=0,1,2] [--kept] [--output=FILE.json]
        [--runs=DIR] [-- --config.FIELD=VALUE ...]

Each seed is the quickstart of `configs/pump_classifier.py` by the real command, in a process of its
own, which draws the split and the weights; the two pumps stay the same. Its saved detector then
scores recordings of these pumps that no quickstart has written (their numbers come after its own),
at all three noise levels, and so does a logistic regression on mean and deviation of the log-mel of
the clips that the run trained on. By default the run finds no recordings and no compiled programs,
as a newcomer's does; with --kept it uses those of the user. --runs keeps the runs, and scores the
finished ones that lie there.
"""

import argparse
import dataclasses
import itertools
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from typing import Any

import numpy as np

FRESH = {"normal": 120, "abnormal": 90}  # recordings of each pump
SCORES = ("classifier", "network", "logistic regression", "level")
BATCH = 60


def train(seed: int, workdir: str, more: Sequence[str]) -> dict[str, float]:
    """Runs the quickstart; its wall and processor time in seconds."""
    flags = [f"--config.seed={seed}", f"--config.split.seed={seed}", f"--workdir={workdir}", *more]
    began, before = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(
        [sys.executable, "-m", "asd_jax.main", "--config=configs/pump_classifier.py", *flags],
        check=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    wall, after = time.monotonic() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"wall": wall, "processor": used}


class Fresh:
    """Recordings of the same pumps with numbers that the run itself never has, at all its levels.

    Attributes:
        waves: int16 `[clips, samples]`.
        label: of each clip, 1 abnormal.
        recordings: how many they are versions of.
    """

    def __init__(self, config: Any, count: dict[str, int]) -> None:
        """Args: the run's config, and the recordings of each pump by label."""
        from asd_jax.data.synthetic import render

        settings = dataclasses.replace(config.synthetic, sample_rate=config.data.sample_rate)
        waves, label = [], []
        for machine_id, name in itertools.product(settings.ids, count):
            begin = getattr(settings, name)
            for number in range(begin, begin + count[name]):
                plan = render.plan_clip(settings, "pump", machine_id, name, number)
                recording = render.render_clip(settings, plan)
                waves += [render.mix(recording, snr)[:, 0] for snr in settings.snr]
                label += [int(name == "abnormal")] * len(settings.snr)
        self.waves, self.label = np.stack(waves), np.array(label)
        self.recordings = len(label) // len(settings.snr)

    def gather(self, places: np.ndarray) -> np.ndarray:
        """The waveforms at these places, as a cache gives them."""
        return self.waves[np.asarray(places)]


class Judge:
    """Scores finished runs of one config, but for the seeds, on the same fresh clips."""

    def __init__(self, config: Any, count: dict[str, int]) -> None:
        """Args: as of `Fresh`."""
        from asd_jax.recipes.pump_classifier import network
        from asd_jax.runs.batched_apply import BatchedApply

        self.fresh = Fresh(config, count)
        readers = network.reader(config, network.build(config)), network.level_moments(config)
        self.read, self.moments = (BatchedApply(read, batch_size=BATCH) for read in readers)

    def __call__(self, detector: Any) -> dict[str, Any]:
        """Figures of a saved detector and of the references of its run."""
        from asd_jax.scoring import metrics

        label, every = self.fresh.label, np.arange(len(self.fresh.label))
        logit, network = (
            self.read(variables, self.fresh, every)["logit"]
            for variables in (detector.folded, without_wide(detector.folded))
        )
        scored = {"classifier": logit, "network": network, **self.references(detector.config)}
        alarm = detector.calibration(logit) > detector.threshold
        return {
            "clips": len(label),
            "recordings": self.fresh.recordings,
            "auc": {name: float(metrics.auc(label, values)) for name, values in scored.items()},
            "false alarms": float(alarm[label == 0].mean()),
            "caught": float(alarm[label == 1].mean()),
        }

    def references(self, config: Any) -> dict[str, np.ndarray]:
        """Scores of the fresh clips by what learns from the clips that the run trained on."""
        from asd_jax.recipes.pump_classifier import clips as classifier_corpus
        from asd_jax.recipes.pump_classifier.decision import reference_scores

        corpus = classifier_corpus.load(config, progress=False)
        own, every = corpus.parts.train, np.arange(len(self.fresh.label))
        known, heard = self.moments({}, corpus.waves, own), self.moments({}, self.fresh, every)
        both = {name: np.concatenate([known[name], heard[name]]) for name in known}
        rows = {
            "logistic regression": np.concatenate([both["mean"], both["deviation"]], 1),
            "level": both["level"],
        }
        labels, places = np.concatenate([corpus.label[own], self.fresh.label]), np.arange(len(own))
        return reference_scores(rows, labels, places, len(own) + every)


def without_wide(variables: Any) -> Any:
    """The variables with the network alone: the head's regression gives nothing."""
    from asd_jax.models.rows import WIDE

    params = dict(variables["params"])
    if WIDE in params:
        params[WIDE] = np.zeros_like(params[WIDE])
    return {**variables, "params": params}


def table(rows: Sequence[dict[str, Any]]) -> str:
    """The rows as Markdown, with their mean."""
    head = [
        "seed",
        *SCORES,
        "above the regression",
        "false alarms",
        "caught",
        "wall, s",
        "processor, s",
    ]
    lines = [f"| {' | '.join(head)} |", "| --- " * len(head) + "|"]
    lines += [_line(str(row["seed"]), [row]) for row in rows]
    return "\n".join([*lines, *([_line("mean", rows)] if len(rows) > 1 else [])])


def _line(name: str, rows: Sequence[dict[str, Any]]) -> str:
    auc = {score: np.mean([row["auc"][score] for row in rows]) for score in SCORES}
    seconds = [
        f"{np.mean([row['seconds'][kind] for row in rows]):.0f}"
        if all("seconds" in row for row in rows)
        else "-"
        for kind in ("wall", "processor")
    ]
    cells = [
        name,
        *(f"{auc[score]:.3f}" for score in SCORES),
        f"{auc['classifier'] - auc['logistic regression']:+.3f}",
        *(f"{np.mean([row[share] for row in rows]):.3f}" for share in ("false alarms", "caught")),
        *seconds,
    ]
    return f"| {' | '.join(cells)} |"


def finished(seed: int, folder: str, more: Sequence[str]) -> tuple[Any, dict[str, Any]]:
    """The detector of a seed's run, which lies in `folder` or comes there, and its seconds."""
    from asd_jax.detector import load_detector

    workdir, note = (os.path.join(folder, f"seed{seed}{end}") for end in ("", ".seconds.json"))
    if not os.path.exists(os.path.join(workdir, "results.json")):
        seconds = train(seed, workdir, more)
        with open(note, "w", encoding="utf-8") as file:
            json.dump(seconds, file)
    known: dict[str, Any] = {}
    if os.path.exists(note):
        with open(note, encoding="utf-8") as file:
            known = {"seconds": json.load(file)}
    return load_detector(os.path.join(workdir, "detector")), known


def main(arguments: Sequence[str] | None = None) -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--kept", action="store_true")
    parser.add_argument("--runs", default="", metavar="DIR")
    parser.add_argument("--output", default="", metavar="FILE")
    parser.add_argument("more", nargs="*", help="more flags of asd_jax.main, after --")
    options = parser.parse_args(arguments)
    rows, judge = [], None
    with tempfile.TemporaryDirectory() as folder:
        folder = options.runs or folder
        for seed in map(int, options.seeds.split(",")):
            if not options.kept:
                os.environ["XDG_CACHE_HOME"] = os.path.join(folder, f"cache{seed}")
            detector, seconds = finished(seed, folder, options.more)
            judge = judge or Judge(detector.config, FRESH)
            rows.append({"seed": seed, **judge(detector), **seconds})
            print(table(rows[-1:]).splitlines()[-1], flush=True)
            if options.output:
                with open(options.output, "w", encoding="utf-8") as file:
                    json.dump(rows, file, indent=1)
    print(f"{rows[0]['clips']} fresh clips of {rows[0]['recordings']} recordings\n{table(rows)}")


if __name__ == "__main__":
    main()
