"""A training run watched from a notebook: its curve, drawn again while it goes on."""

import io
import os
import runpy
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import Any

from asd_jax import project
from asd_jax.errors import UserError
from asd_jax.train.metrics_log import MetricsLog


def load_config(config: str) -> dict[str, Any]:
    """The values of a config, as a run would use them; `config` as after `--config=`."""
    path, _, argument = project.config_file(config).partition(":")
    values = runpy.run_path(path)["get_config"](argument)
    return values.to_dict()


def start(config: str, workdir: str, *overrides: str) -> subprocess.Popen:
    """Starts `python -m asd_jax.main` in a process of its own; its output goes to a log file.

    Args:
        config: as after `--config=`.
        workdir: folder of the run.
        overrides: such as `--config.seed=1`.
    """
    os.makedirs(workdir, exist_ok=True)
    command = [sys.executable, "-m", "asd_jax.main", f"--config={config}", f"--workdir={workdir}"]
    with open(os.path.join(workdir, "log.txt"), "wb") as log:
        return subprocess.Popen([*command, *overrides], stdout=log, stderr=subprocess.STDOUT)


def watch(process: subprocess.Popen, workdir: str, *, seconds: float = 5.0) -> Any:
    """Draws the losses of each stage until the run ends, and returns the last picture.

    Raises:
        UserError: the run failed; the message holds the last lines that it printed.
    """
    from IPython import display

    handle = display.DisplayHandle()
    handle.display(display.HTML("Starting: the first step compiles."))
    metrics_log = MetricsLog(os.path.join(workdir, "metrics.jsonl"))
    while process.poll() is None:
        time.sleep(seconds)
        handle.update(as_picture(_figure(metrics_log.read())))
    if process.returncode:
        with open(os.path.join(workdir, "log.txt"), encoding="utf-8", errors="replace") as log:
            raise UserError("The run failed: " + "".join(log.readlines()[-15:]))
    picture = as_picture(_figure(metrics_log.read()))
    handle.update(picture)
    return picture


def as_picture(figure: Any) -> Any:
    """A matplotlib figure as an image that every notebook shows, whatever its matplotlib does."""
    from IPython.display import Image

    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=90)
    return Image(file.getvalue())


def _figure(events: Sequence[dict[str, Any]]) -> Any:
    """One panel a stage: its loss by step."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(12, 2.6), layout="constrained")
    stages = list(dict.fromkeys(event["stage"] for event in events)) or [""]
    panels = figure.subplots(1, len(stages), squeeze=False)[0]
    for axes, stage in zip(panels, stages, strict=True):
        points = [(e["step"], e["loss"]) for e in events if e["stage"] == stage and "loss" in e]
        axes.plot(*zip(*points, strict=True) if points else ([], []), marker=".")
        axes.set_title(stage)
        axes.set_xlabel("step")
        axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    figure.axes[0].set_ylabel("loss")
    return figure
