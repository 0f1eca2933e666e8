"""How the listening commands start and end."""

import signal
import threading
from typing import Any

from asd_jax import commands
from asd_jax.live.recordings import ClipScorer, chosen_machine


def load_clip_scorer(folder: str, machine: str | None) -> ClipScorer:
    """The detector in a folder, for the machine that --machine names; raises UserError."""
    from asd_jax.detector import load_detector

    detector = load_detector(folder)
    chosen = chosen_machine(machine, detector.groups)
    commands.prepare_jax()
    return ClipScorer(detector, chosen)


def asked_to_stop() -> threading.Event:
    """Set by the first Ctrl-C or SIGTERM; the second ends the program at once."""
    stop = threading.Event()

    def handle(number: int, frame: Any) -> None:
        signal.signal(number, signal.SIG_DFL)
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, handle)
    return stop
