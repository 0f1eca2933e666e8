"""What `asd_jax.score` and `asd_jax.monitor` share: flags, which only they read, start and end."""

import os
import signal
import sys
import threading
from collections.abc import Sequence
from typing import Any

from absl import flags

from asd_jax import commands
from asd_jax.errors import UserError
from asd_jax.live.recordings import ClipScorer, chosen_machine

DETECTOR: flags.FlagHolder = flags.DEFINE_string(
    "detector", None, "The folder `detector` of a finished run.", allow_override=True
)
MACHINE = flags.DEFINE_string(
    "machine",
    None,
    "TYPE/ID of the machine that is heard, where the paths do not tell it, for example pump/id_02.",
    allow_override=True,
)
WATCH = flags.DEFINE_multi_string(
    "watch",
    [],
    "Score the recordings that come into this folder; the monitor takes it several times. "
    "TYPE/ID=FOLDER says which machine is heard there.",
)
SKIP = flags.DEFINE_bool("skip_existing", False, "With --watch: not those that are there now.")
SETTLE = flags.DEFINE_float(
    "settle", 2.0, "With --watch: seconds for which a file must not have grown.", lower_bound=0.0
)
EXPECT = flags.DEFINE_float(
    "expect_every",
    600.0,
    "With --watch, the monitor: seconds within which a recording must have come, or the page says "
    "that there is no sound; 0 for no bound.",
    lower_bound=0.0,
)
STREAM = flags.DEFINE_bool("stream", False, "Score raw PCM that comes on standard input.")
RATE = flags.DEFINE_integer("rate", 16000, "With --stream: samples a second, of each channel.")
SAMPLE_FORMAT = flags.DEFINE_string(
    "sample_format", "s16le", "With --stream: s16le, s24le, s32le, f32le, f64le or u8."
)
CHANNELS = flags.DEFINE_integer("channels", 1, "With --stream: interleaved channels.")
HOP = flags.DEFINE_float(
    "hop", None, "With --stream: seconds from window to window; half a clip if left out."
)
GAP = flags.DEFINE_float(
    "gap",
    2.0,
    "With --stream: seconds without sound that count as a pause, which no window spans.",
    lower_bound=0.1,
)
ALARM_AFTER = flags.DEFINE_string(
    "alarm_after", "2/3", "With --watch, --stream: N/M raises the alarm after N of M anomalous."
)
CLEAR_AFTER = flags.DEFINE_integer(
    "clear_after", 3, "With --watch, --stream: so many normal ones in a row clear the alarm."
)


def check_live(argv: Sequence[str] = ()) -> None:
    """Raises UserError where these flags can't be; `argv` is that of a command without paths."""
    if not DETECTOR.value:
        raise UserError("give a detector: --detector=RUN/detector.")
    if len(argv) > 1:
        raise UserError(f"{argv[1]} is no flag; give --watch=DIR, --stream, or neither.")
    folders = [folder for _, folder in watched()]
    for folder in folders:
        if not os.path.isdir(folder):
            raise UserError(f"--watch={folder}: there is no such folder.")
        if folders.count(folder) > 1:
            raise UserError(f"--watch={folder} is given twice; give each folder once.")
    if STREAM.value and WATCH.value:
        raise UserError("give one of: recordings, --watch=DIR, --stream.")
    if STREAM.value and sys.stdin.isatty():
        raise UserError("--stream reads raw PCM from standard input; pipe a recorder into it.")


def watched() -> list[tuple[str | None, str]]:
    """Machine, None if not told, and folder of each `--watch=[TYPE/ID=]FOLDER`."""
    found = []
    for value in WATCH.value:
        machine, equals, folder = value.partition("=")
        told = bool(equals) and not os.path.isdir(value)  # a folder's name may hold a '='
        found.append((machine, folder) if told else (None, value))
    return found


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
