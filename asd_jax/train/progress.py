"""What a user sees of a stage while it trains."""

import sys
import time

from absl import logging


class Bar:
    """A progress bar with loss, clips a second and time left; plain lines without a terminal."""

    def __init__(
        self, name: str, total_steps: int, batch_size: int, begin: int, enabled: bool
    ) -> None:
        """Args: of the stage, its first step, and whether to show anything."""
        self._name, self._total, self._batch_size = name, total_steps, batch_size
        self._done, self._began = 0, time.monotonic()
        self._enabled, self._begin, self._warned = enabled, begin, set()
        self._bar, self._said = None, time.monotonic()

    def __enter__(self) -> "Bar":
        if self._enabled and sys.stderr.isatty():
            from tqdm import tqdm

            self._bar = tqdm(
                total=self._total,
                initial=self._begin,
                desc=f"{self._name:>10}",
                unit="step",
                dynamic_ncols=True,
            )
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()

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
        """The loss after a step."""
        speed = self.clips_per_second()
        text = f"loss {loss:.4f}" + (f", {speed:.0f} clips/s" if speed else "")
        if self._bar is not None:
            self._bar.set_postfix_str(text)
        elif self._enabled and (step == self._total or self._quiet_for(10.0)):
            rest = self._total - step
            left = rest * self._batch_size / speed if speed else 0
            print(
                f"{self._name:>10}: step {step}/{self._total}, {text}"
                + (f", {left:.0f} s left" if left else ""),
                flush=True,
            )

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
