"""The one training loop: every stage of every recipe runs through `train`."""

import contextlib
import dataclasses
import signal
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np
from absl import logging

from asd_jax.errors import Interrupted, UserError
from asd_jax.train.checkpoint import Checkpoints
from asd_jax.train.metrics_log import MetricsLog
from asd_jax.train.processes import SAVE, STOP, Agreement, is_primary, peer_lost, place
from asd_jax.train.profile import traced
from asd_jax.train.progress import Bar
from asd_jax.train.sharding import replicated
from asd_jax.train.state import TrainState
from asd_jax.train.step import Step, compile_step

# Steps handed to the device before the first of them is done: enough to keep it busy, few enough
# for a request to stop to be noticed soon.
_FLYING = 3


class Diverged(UserError):
    """The loss is no longer a number."""


@dataclasses.dataclass(frozen=True)
class Stage:
    """A stage of a recipe as the loop needs it.

    Attributes:
        name: for logs and the checkpoint folder.
        step: `step(state, batch) -> (state, metrics)`, not yet jitted.
        total_steps: updates to make.
        batches: `batches(start_step)`, a context manager of an iterator of batches on the mesh.
        batch_size: clips a step, for the speed that is shown.
        mesh: the devices to use.
        watch: called with the logged metrics; returns a sentence to warn the user with, or "".
        advice: what to do when the loss diverges.
        evaluate: called with the state every `evaluate_every` steps and after the last one, before
            a checkpoint is written; what it returns is logged. A resumed stage may call it again
            for a step that it has seen.
        evaluate_every: steps.
        enough: called with the step after each evaluation, and on resuming; true ends the stage
            before its last step. Runs side by side end when all have had enough.
        compiled: returns the step compiled ahead of time; None to compile it when training begins.
        epoch_steps: updates of an epoch, for the log; None where that means nothing.
    """

    name: str
    step: Step
    total_steps: int
    batches: Callable[[int], contextlib.AbstractContextManager[Iterator[Any]]]
    batch_size: int
    mesh: Any
    watch: Callable[[dict[str, float]], str] = lambda metrics: ""
    advice: str = "lower its learning rate"
    evaluate: Callable[[TrainState], dict[str, float]] | None = None
    evaluate_every: int = 100
    enough: Callable[[int], bool] = lambda step: False
    compiled: Callable[[], Step] | None = None
    epoch_steps: float | None = None

    def epoch(self, step: int) -> dict[str, float]:
        """The epochs after a step, for the log."""
        return {"epoch": round(step / self.epoch_steps, 4)} if self.epoch_steps else {}


HostMetrics = dict[str, np.ndarray]


class Keeper:
    """Saves and loads what a stage leaves: of a single run, and by `train.pack` of several."""

    def __init__(self, stage: Stage, checkpoints: Any, metrics_log: Any) -> None:
        """Args: the stage, its checkpoints, its log."""
        self._stage, self._checkpoints, self._metrics_log = stage, checkpoints, metrics_log

    def latest(self) -> int:
        """The step to go on from; 0 for the start."""
        return self._checkpoints.newest_whole() or 0

    def restore(self, step: int, state: TrainState) -> TrainState:
        """The state after that step, on the shapes and devices of `state`."""
        return self._checkpoints.restore(step, state)

    def save(self, step: int, state: TrainState) -> None:
        """Keeps the state after a step; returns when it is on the disk."""
        self._checkpoints.save(step, state)

    def rewind(self, step: int) -> None:
        """Forgets what was logged after a step: it comes again."""
        self._metrics_log.rewind(self._stage.name, step)

    def log(self, step: int, metrics: HostMetrics, speed: float | None) -> tuple[float, list[str]]:
        """Writes the metrics down; the loss to show, and what to warn of. May raise Diverged."""
        values = {name: float(value) for name, value in metrics.items()}
        check_loss(self._stage, step, values["loss"])
        told = {**self._stage.epoch(step), **values, "clips_per_second": speed}
        self._metrics_log.log(self._stage.name, step, **told)
        sentence = self._stage.watch(values)
        return values["loss"], [sentence] if sentence else []

    def evaluated(self, step: int, values: Any) -> None:
        """Writes down what the stage's evaluation gave."""
        self._metrics_log.log(self._stage.name, step, **self._stage.epoch(step), **values)


def train(
    stage: Stage,
    state: TrainState,
    *,
    directory: str,
    metrics_log: MetricsLog,
    save_seconds: float = 60.0,
    log_every: int = 10,
    progress: bool = True,
) -> TrainState:
    """Trains `stage` to its end, resuming from the newest checkpoint in `directory`.

    Raises:
        Interrupted: on Ctrl-C or SIGTERM, after a checkpoint; in all processes at the same step,
            whichever of them was asked.
        PeerLost: another process of the run has ended.
        Diverged: when a logged loss is not finite; the last good checkpoint stays.
    """
    everywhere = replicated(stage.mesh)
    state = jax.tree.map(lambda leaf: place(leaf, everywhere), state)
    with peer_lost(), Checkpoints(directory) as checkpoints:
        keeper = Keeper(stage, checkpoints, metrics_log)
        return train_loop(stage, state, keeper, save_seconds, log_every, progress)


def train_loop(
    stage: Stage,
    state: TrainState,
    keeper: Keeper,
    save_seconds: float,
    log_every: int,
    progress: bool,
) -> TrainState:
    """Trains from the newest step that the keeper has to the end."""
    begin = keeper.latest()
    if begin:
        state = keeper.restore(begin, state)
        logging.info("Stage %s goes on at step %d.", stage.name, begin)
    if begin < stage.total_steps and not (begin and stage.enough(begin)):
        keeper.rewind(begin)
        state = _run(stage, state, begin, keeper, save_seconds, log_every, progress)
    return state


def is_finished(stage_directory: str, total_steps: int) -> bool:
    """Whether the stage's checkpoint folder holds its last step."""
    with Checkpoints(stage_directory, keep=None) as checkpoints:
        return checkpoints.newest_whole() == total_steps


def _run(stage, state, begin, keeper, save_seconds, log_every, progress):
    """The loop proper: next batch, step, log, save.

    Metrics are read when the next step is on its way: the device does not wait for the host.
    """
    bar = Bar(stage.name, stage.total_steps, stage.batch_size, begin, progress and is_primary())
    saved, pending = time.monotonic(), None
    agreement = Agreement(stage.mesh, _FLYING)
    profile = traced(stage.name, stage.total_steps - begin)
    with stage.batches(begin) as batches, _stop_requests() as stop, bar, profile as traced_step:
        bar.begin()
        step_fn = stage.compiled() if stage.compiled else compile_step(stage.step, stage.mesh)
        for number in range(begin + 1, stage.total_steps + 1):
            state, metrics = step_fn(state, next(batches))
            if pending:
                _log(keeper, bar, *pending)
                pending = None
            traced_step(metrics["loss"])
            last = number == stage.total_steps
            due = last or time.monotonic() - saved > save_seconds
            wish = STOP if stop.asked else SAVE * due
            agreed = agreement.after(metrics["loss"], wish, last=last)
            if number % log_every == 0 or last or number == begin + 1:
                pending = (number, metrics)
            if stage.evaluate and (number % stage.evaluate_every == 0 or last):
                keeper.evaluated(number, stage.evaluate(state))
                if stage.enough(number) and not last:
                    _log(keeper, bar, *(pending or (number, metrics)))
                    keeper.save(number, state)
                    logging.info("Stage %s ends early, after step %d.", stage.name, number)
                    break
            if agreed:
                _log(keeper, bar, *(pending or (number, metrics)))
                pending = None
                keeper.save(number, state)
                saved = time.monotonic()
            if agreed == STOP:  # after the last step too: no later check would see it
                raise Interrupted(f"Stopped in stage {stage.name} after step {number}; saved.")
            bar.advance()
    return state


def _log(keeper: Keeper, bar: Bar, step: int, metrics: dict[str, Any]) -> None:
    values = {name: np.asarray(value) for name, value in metrics.items()}
    loss, sentences = keeper.log(step, values, bar.clips_per_second())
    bar.show(step, loss)
    for sentence in sentences:
        bar.warn(sentence)


def check_loss(stage: Stage, step: int, loss: float) -> None:
    """Raises Diverged where the loss is no longer a number."""
    if not np.isfinite(loss):
        raise Diverged(
            f"Stage {stage.name} diverged: its loss is {loss} at step {step}; "
            f"{stage.advice}. The last good checkpoint is kept."
        )


class _Stop:
    """Whether somebody asked the run to stop."""

    def __init__(self) -> None:
        self.asked = False

    def handle(self, number: int, _: object) -> None:
        if self.asked and number == signal.SIGINT:  # a second Ctrl-C does not wait for the step
            raise KeyboardInterrupt
        if self.asked:  # clusters say SIGTERM twice: to a job, and to each of its processes
            return
        self.asked = True
        print("\nStopping after this step; what was done is saved.", file=sys.stderr, flush=True)


@contextlib.contextmanager
def _stop_requests() -> Iterator[_Stop]:
    """Turns SIGINT and SIGTERM into a request that the loop reads between two steps."""
    stop = _Stop()
    try:
        before = {s: signal.signal(s, stop.handle) for s in (signal.SIGINT, signal.SIGTERM)}
    except ValueError:  # not the main thread (a notebook's executor): nothing to catch there
        before = {}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
