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
from asd_jax.train.logbook import Logbook
from asd_jax.train.processes import SAVE, STOP, Agreement, first, lost, place
from asd_jax.train.profile import traced
from asd_jax.train.sharding import replicated
from asd_jax.train.state import TrainState
from asd_jax.train.step import Step, compile_step

# Steps handed to the device before the first of them is done: enough to keep it busy, few enough
# for a request to stop to be heard soon.
_FLYING = 3


class Diverged(UserError):
    """The loss is no longer a number."""


@dataclasses.dataclass(frozen=True)
class Stage:
    """What the loop needs to know of one stage of a recipe.

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
        compiled: returns the step compiled ahead of time; None to compile it when training begins.
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
    compiled: Callable[[], Step] | None = None


def train(
    stage: Stage,
    state: TrainState,
    *,
    directory: str,
    logbook: Logbook,
    save_seconds: float = 60.0,
    log_every: int = 10,
    progress: bool = True,
) -> TrainState:
    """Trains `stage` to its end, resuming from the newest checkpoint in `directory`.

    Raises:
        Interrupted: on Ctrl-C or SIGTERM, after a checkpoint; in all processes at the same step,
            whichever of them was asked.
        Lost: another process of the run has ended.
        Diverged: when a logged loss is not finite; the last good checkpoint stays.
    """
    everywhere = replicated(stage.mesh)
    state = jax.tree.map(lambda leaf: place(leaf, everywhere), state)
    with lost(), Checkpoints(directory) as checkpoints:
        begin = checkpoints.latest() or 0
        if begin:
            state = checkpoints.restore(begin, state)
            logging.info("Stage %s goes on at step %d.", stage.name, begin)
        if begin < stage.total_steps:
            logbook.rewind(stage.name, begin)
            state = _run(
                stage, state, begin, checkpoints, logbook, save_seconds, log_every, progress
            )
    return state


def is_finished(stage_directory: str, total_steps: int) -> bool:
    """Whether the stage's checkpoint folder holds its last step."""
    with Checkpoints(stage_directory, keep=None) as checkpoints:
        return checkpoints.latest() == total_steps


def _run(stage, state, begin, checkpoints, logbook, save_seconds, log_every, progress):
    """The loop proper: next batch, step, log, save. Metrics are read one event late, so that the
    host does not wait for the device."""
    step_fn = stage.compiled() if stage.compiled else compile_step(stage.step, stage.mesh)
    bar = _Bar(stage, begin, progress and first())
    saved, pending = time.monotonic(), None
    agreement = Agreement(stage.mesh, _FLYING)
    profile = traced(stage.name, stage.total_steps - begin)
    with stage.batches(begin) as batches, _stop_requests() as stop, bar, profile as trace:
        for number in range(begin + 1, stage.total_steps + 1):
            state, metrics = step_fn(state, next(batches))
            trace.step(metrics["loss"])
            last = number == stage.total_steps
            due = last or time.monotonic() - saved > save_seconds
            wish = STOP if stop.asked else SAVE * due
            agreed = agreement.after(metrics["loss"], wish, last=last)
            if number % log_every == 0 or last or number == begin + 1:
                if pending:
                    _log(stage, logbook, bar, *pending)
                pending = (number, metrics)
            if stage.evaluate and (number % stage.evaluate_every == 0 or last):
                logbook.log(stage.name, number, **stage.evaluate(state))
            if agreed:
                _log(stage, logbook, bar, *(pending or (number, metrics)))
                pending = None
                checkpoints.save(number, state)
                saved = time.monotonic()
            if agreed == STOP:  # after the last step too: nobody would ask again
                raise Interrupted(f"Stopped in stage {stage.name} after step {number}; saved.")
            bar.advance()
    return state


def _log(stage: Stage, logbook: Logbook, bar: "_Bar", step: int, metrics: dict[str, Any]) -> None:
    values = {name: float(np.asarray(value)) for name, value in metrics.items()}
    if not np.isfinite(values["loss"]):
        raise Diverged(
            f"Stage {stage.name} diverged: its loss is {values['loss']} at step {step}; "
            f"{stage.advice}. The last good checkpoint is kept."
        )
    logbook.log(stage.name, step, **values, clips_per_second=bar.clips_per_second())
    bar.show(step, values)
    sentence = stage.watch(values)
    if sentence:
        bar.warn(sentence)


class _Bar:
    """A progress bar with loss, clips a second and time left; plain lines without a terminal."""

    def __init__(self, stage: Stage, begin: int, enabled: bool) -> None:
        self._stage, self._done, self._began = stage, 0, time.monotonic()
        self._enabled, self._begin, self._warned = enabled, begin, set()
        self._bar, self._said = None, time.monotonic()

    def __enter__(self) -> "_Bar":
        if self._enabled and sys.stderr.isatty():
            from tqdm import tqdm

            self._bar = tqdm(
                total=self._stage.total_steps,
                initial=self._begin,
                desc=f"{self._stage.name:>10}",
                unit="step",
                dynamic_ncols=True,
            )
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()

    def advance(self) -> None:
        self._done += 1
        if self._done == 1:
            self._began = time.monotonic()  # the first step holds the compilation
        if self._bar is not None:
            self._bar.update()

    def clips_per_second(self) -> float | None:
        if self._done < 2:
            return None
        return self._stage.batch_size * (self._done - 1) / (time.monotonic() - self._began)

    def show(self, step: int, values: dict[str, float]) -> None:
        speed = self.clips_per_second()
        text = f"loss {values['loss']:.4f}" + (f", {speed:.0f} clips/s" if speed else "")
        if self._bar is not None:
            self._bar.set_postfix_str(text)
        elif self._enabled and (step == self._stage.total_steps or self._quiet_for(10.0)):
            rest = self._stage.total_steps - step
            left = rest * self._stage.batch_size / speed if speed else 0
            print(
                f"{self._stage.name:>10}: step {step}/{self._stage.total_steps}, {text}"
                + (f", {left:.0f} s left" if left else ""),
                flush=True,
            )

    def warn(self, sentence: str) -> None:
        if sentence not in self._warned:
            self._warned.add(sentence)
            logging.warning("%s", sentence)

    def _quiet_for(self, seconds: float) -> bool:
        quiet = time.monotonic() - self._said > seconds
        if quiet:
            self._said = time.monotonic()
        return quiet


class _Stop:
    """Whether somebody asked the run to stop."""

    def __init__(self) -> None:
        self.asked = False

    def ask(self, number: int, _: object) -> None:
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
        before = {s: signal.signal(s, stop.ask) for s in (signal.SIGINT, signal.SIGTERM)}
    except ValueError:  # not the main thread (a notebook's executor): nothing to catch there
        before = {}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
