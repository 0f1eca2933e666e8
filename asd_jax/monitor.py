r"""A page to watch a machine by: `python -m asd_jax.monitor --detector=RUN/detector`.

    python -m asd_jax.monitor --detector=RUN/detector                    recordings dropped on it
    python -m asd_jax.monitor --detector=RUN/detector --watch=DIR        and a growing folder
    arecord -t raw -f S16_LE -r 16000 | \
    python -m asd_jax.monitor --detector=RUN/detector --stream           and live sound

The page shows the live spectrogram, the score against its threshold, the last alarms with their
sound, and scores recordings. It is served to this machine alone unless --host says otherwise.
"""

import os
import pathlib
import sys
import threading
from collections.abc import Callable, Sequence
from typing import Any

from absl import flags

from asd_jax import commands
from asd_jax.errors import UserError
from asd_jax.files import why
from asd_jax.live import options, outlets
from asd_jax.live.access import Access
from asd_jax.live.alarm import Alarm, Alarms, Rule
from asd_jax.live.pcm import Pcm
from asd_jax.live.recordings import ClipScorer
from asd_jax.live.start import asked_to_stop, load_clip_scorer
from asd_jax.live.watcher import Watcher, watch

flags.adopt_module_key_flags(options)
flags.adopt_module_key_flags(outlets)
HOST = flags.DEFINE_string(
    "host", "127.0.0.1", "The address to serve on; others than this machine need the token."
)
TOKEN = flags.DEFINE_string(
    "token_file", None, "The file of the token that the page asks for; else ASD_JAX_TOKEN."
)
CERTIFICATE = flags.DEFINE_string("certificate", "", "A certificate (PEM): the page is https.")
KEY = flags.DEFINE_string("key", "", "The certificate's private key, where it is not in its file.")
HISTORY = flags.DEFINE_string(
    "history", None, "The file of scores and alarms; history.sqlite beside the detector's folder."
)
PORT = flags.DEFINE_integer(
    "port", 8765, "The port to serve on; 0 takes a free one.", lower_bound=0, upper_bound=65535
)
_REPLAYED = 1000  # scores after which an alarm is what it was before a restart
POLL = 1.0  # s between two looks into a watched folder


def main(argv: Sequence[str]) -> int:
    """Serves the page until Ctrl-C or SIGTERM."""
    options.check_live(argv)
    rule = Rule.parse(options.ALARM_AFTER.value, options.CLEAR_AFTER.value)
    pcm = Pcm(options.RATE.value, options.SAMPLE_FORMAT.value, options.CHANNELS.value)
    access = _access()
    access.check(HOST.value)
    clip_scorer = load_clip_scorer(options.DETECTOR.value, options.MACHINE.value)
    from asd_jax.live import history as histories
    from asd_jax.live.board import Board
    from asd_jax.live.healthy import Healthy
    from asd_jax.live.pulse import Pulse
    from asd_jax.live.server import Monitor

    pulse = Pulse(options.EXPECT.value if options.WATCH.value else 0.0)
    detector = options.DETECTOR.value
    path = HISTORY.value or histories.default_path(detector)
    history = histories.History(path, histories.identity(detector))
    board = Board(clip_scorer.detector.spec.sample_rate, pulse, history)
    healthy = Healthy(clip_scorer.detector, history)
    told = outlets.Outlets(board, clip_scorer.detector.groups, healthy)
    shown = {"host": HOST.value, "port": PORT.value, "source": _source(), "access": access}
    server = Monitor(clip_scorer, board, healthy=healthy, **shown)
    stop = asked_to_stop()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(f"The monitor is at {server.address} (Ctrl-C ends it).", flush=True)
    feed = _feed(clip_scorer, board, server.scoring, pcm, rule, stop)
    if feed:
        threading.Thread(target=_kept_up, args=(feed, board), daemon=True).start()
    while not stop.wait(0.5):
        told.look()
    server.shutdown()
    told.close()
    print("Stopped.", file=sys.stderr)
    return 0


def _access() -> Access:
    token = os.environ.get("ASD_JAX_TOKEN", "")
    if TOKEN.value:
        try:
            token = pathlib.Path(TOKEN.value).read_text().strip()
        except (OSError, ValueError) as error:
            said = why(error) if isinstance(error, OSError) else "it is no text"
            raise UserError(f"--token_file={TOKEN.value}: {said}.") from error
        if not token:
            raise UserError(f"--token_file={TOKEN.value}: it is empty.")
    return Access(token, CERTIFICATE.value, KEY.value)


def _source() -> str:
    if options.STREAM.value:
        return "live sound"
    return f"the folder {options.WATCH.value}" if options.WATCH.value else ""


def _feed(
    clip_scorer: ClipScorer,
    board: Any,  # `Board`, imported when the flags are known to be right
    lock: threading.Lock,
    pcm: Pcm,
    rule: Rule,
    stop: threading.Event,
) -> Callable[[], None] | None:
    """What fills the board: a stream, a folder, or None."""
    from asd_jax.live import feed

    if options.STREAM.value:
        alarm = Alarm(rule)
        for row in board.history.recent(_REPLAYED):
            alarm.update(row["decision"])
        settings = {"hop": options.HOP.value, "alarm": alarm}

        def stopped() -> bool:
            board.pulse.beat()
            return stop.is_set()

        return lambda: feed.stream(
            clip_scorer, board, pcm, sys.stdin.fileno(), options.GAP.value, stopped, settings
        )
    if options.WATCH.value:
        watcher = Watcher(
            options.WATCH.value,
            settle=options.SETTLE.value,
            skip_existing=options.SKIP.value,
            given=board.history.done(),
        )
        alarms = Alarms(rule)
        for row in board.history.recent(_REPLAYED):
            alarms.update(row)

        def wait(seconds: float) -> bool:
            board.pulse.beat(f"The folder {watcher.folder} is gone." if watcher.away else "")
            return stop.wait(seconds)

        groups = watch(watcher, poll=POLL, wait=wait)

        def finished(path: str) -> None:
            board.history.finish(path, watcher.state(path))

        return lambda: feed.recordings(clip_scorer, board, groups, alarms, lock, finished)
    return None


def _kept_up(feed: Callable[[], None], board: Any) -> None:
    """Tells on the page what ended the listening: the page stays, and would only look calm."""
    try:
        feed()
    except UserError as error:
        board.note(f"Listening has ended: {error}", paused=True)
    except Exception as error:
        board.note(f"Listening has ended by an error: {error}", paused=True)
        raise


if __name__ == "__main__":
    commands.run(main)
