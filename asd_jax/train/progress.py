"""What a user sees of a run while it is made: which stage of how many, its loss, the time left."""

import contextlib
import os
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple, TypeVar

from absl import logging

from asd_jax.naming import span

_EVERY = 10.0  # seconds between two lines without a terminal

T = TypeVar("T")


class Part(NamedTuple):
    """A stage of the run that is being made, and how many clips go through it in all."""

    name: str
    clips: float


_parts: tuple[Part, ...] = ()
_quiet = False
_shown: set[str] | None = None  # texts that are not shown again; None: all are


def plan(parts: Sequence[Part]) -> None:
    """Says what the run of this process consists of; what comes after the stages is one more."""
    global _parts
    _parts = tuple(parts)


def be_quiet() -> None:
    """From here on nothing is shown but warnings and results (`--quiet`)."""
    global _quiet
    _quiet = True
    os.environ["TQDM_DISABLE"] = "1"  # decoding and downloads, too


def quiet() -> bool:
    """Whether nothing is to be shown."""
    return _quiet


@contextlib.contextmanager
def once() -> Iterator[None]:
    """Meanwhile a text that is the same for several runs is shown for the first of them alone."""
    global _shown
    _shown = set()
    try:
        yield
    finally:
        _shown = None


def show(text: str) -> None:
    """Shows a text."""
    if _quiet or (_shown is not None and text in _shown):
        return
    print(text, flush=True)
    if _shown is not None:
        _shown.add(text)


def say(name: str, what: str) -> None:
    """A line on what a stage, or what comes after them, does now."""
    if not _quiet:
        print(f"{name:>10}: {_place(name)}{what}", flush=True)


def over(items: Iterable[T], name: str, total: int) -> Iterator[T]:
    """The items; how far they are is shown where they take long.

    Args:
        items: to go through.
        name: of what is done with each of them.
        total: how many they are.
    """
    if not _quiet and sys.stderr.isatty():
        from tqdm import tqdm

        yield from tqdm(items, desc=f"{name:>10}", total=total, leave=False, dynamic_ncols=True)
        return
    began = said = time.monotonic()
    for number, item in enumerate(items, 1):
        yield item
        now = time.monotonic()
        if not _quiet and now - said > _EVERY and number < total:
            said, left = now, (now - began) / number * (total - number)
            print(f"{name:>10}: {number}/{total}, {span(left)} left", flush=True)


def _number(name: str) -> int | None:
    """The place of a stage among the parts; of one that is trained again, of the first time."""
    for number, part in enumerate(_parts):
        if name == part.name or name.startswith(f"{part.name}_"):
            return number
    return None


def _place(name: str) -> str:
    number = _number(name)
    return "" if number is None else f"stage {number + 1} of {len(_parts)}, "


class Bar:
    """A progress bar with loss, clips a second and time left; plain lines without a terminal."""

    def __init__(
        self, name: str, total_steps: int, batch_size: int, begin: int, enabled: bool
    ) -> None:
        """Args: of the stage, its first step, and whether to show anything."""
        self._name, self._total, self._batch_size = name, total_steps, batch_size
        self._done, self._began = 0, time.monotonic()
        self._enabled, self._begin, self._warned = enabled and not _quiet, begin, set()
        self._bar, self._said = None, time.monotonic()
        number = _number(name)
        self._later = None if number is None else sum(p.clips for p in _parts[number + 1 :])

    def __enter__(self) -> "Bar":
        if self._enabled and sys.stderr.isatty():
            from tqdm import tqdm

            number = _number(self._name)
            place = "" if number is None else f"{number + 1}/{len(_parts)} "
            self._bar = tqdm(
                total=self._total,
                initial=self._begin,
                desc=f"{place}{self._name:>10}",
                unit="step",
                dynamic_ncols=True,
            )
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()

    def begin(self) -> None:
        """The first step is about to be made, which waits for the compiler."""
        if self._bar is not None:
            self._bar.set_postfix_str("compiling")
        elif self._enabled:
            say(self._name, "compiling")

    def advance(self) -> None:
        """A step is done."""
        self._done += 1
        if self._done == 1:
            self._began = time.monotonic()  # the first step holds the compilation
        if self._bar is not None:
            self._bar.update()

    def clips_per_second(self) -> float | None:
        """The speed since the first step, None before the second."""
        if self._done < 2:
            return None
        return self._batch_size * (self._done - 1) / (time.monotonic() - self._began)

    def show(self, step: int, loss: float) -> None:
        """The loss after a step, and the time left if later stages are as fast as this one."""
        speed = self.clips_per_second()
        left = (self._total - step) * self._batch_size
        text = f"loss {loss:.4f}" + (f", {speed:.0f} clips/s" if speed else "")
        run = ""
        if speed and self._later:
            run = f", about {span((left + self._later) / speed)} of training left in all"
        if self._bar is not None:
            self._bar.set_postfix_str(text + run)
        elif self._enabled and (step == self._total or self._quiet_for(_EVERY)):
            own = f", {span(left / speed)} left" if speed and left else ""
            say(self._name, f"step {step}/{self._total}, {text}{own}{run}")

    def warn(self, sentence: str) -> None:
        """Says a sentence once."""
        if sentence not in self._warned:
            self._warned.add(sentence)
            logging.warning("%s", sentence)

    def _quiet_for(self, seconds: float) -> bool:
        quiet = time.monotonic() - self._said > seconds
        if quiet:
            self._said = time.monotonic()
        return quiet
