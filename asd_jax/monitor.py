r"""A page to watch a machine by: `python -m asd_jax.monitor --detector=RUN/detector`.

    python -m asd_jax.monitor --detector=RUN/detector                    recordings dropped on it
    python -m asd_jax.monitor --detector=RUN/detector --watch=DIR        and a growing folder
    python -m asd_jax.monitor --detector=RUN/detector --watch=DIR --watch=DIR     and several
    arecord -t raw -f S16_LE -r 16000 | \
    python -m asd_jax.monitor --detector=RUN/detector --stream           and live sound

The page shows the live spectrogram, the score against its threshold, the last alarms with their
sound, and scores recordings. It is served to this machine alone unless --host says otherwise.
"""

import dataclasses
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
from asd_jax.live import notify, options
from asd_jax.live.access import Access
from asd_jax.live.alarm import Alarm, Alarms, Rule
from asd_jax.live.options import asked_to_stop, load_clip_scorer
from asd_jax.live.pcm import Pcm
from asd_jax.live.recordings import ClipScorer, chosen_machine
from asd_jax.live.watcher import Watcher, watch
from asd_jax.naming import machine_name

flags.adopt_module_key_flags(options)
flags.adopt_module_key_flags(notify)
HOST = flags.DEFINE_string(
    "host", "127.0.0.1", "The address to serve on; beyond this machine with a token and TLS alone."
)
TOKEN = flags.DEFINE_string(
    "token_file", None, "The file of the token that the page asks for; else ASD_JAX_TOKEN."
)
CERTIFICATE = flags.DEFINE_string("certificate", "", "A certificate (PEM): the page is https.")
KEY = flags.DEFINE_string("key", "", "The certificate's private key, where it is not in its file.")
PROXY = flags.DEFINE_bool(
    "behind_proxy",
    False,
    "With --host: a proxy before the page does TLS.",
)
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
    from asd_jax.live.board import Board, Place, Pulse
    from asd_jax.live.healthy import Healthy
    from asd_jax.live.server import Monitor

    detector = options.DETECTOR.value
    path = HISTORY.value or histories.default_path(detector)
    history = histories.History(path, histories.identity(detector))
    ears, places = _ears(clip_scorer), []
    for ear in ears:
        pulse = Pulse(options.EXPECT.value if ear.folder else 0.0)
        own = history.of(os.path.abspath(ear.folder)) if len(ears) > 1 else history
        board = Board(clip_scorer.detector.spec.sample_rate, pulse, own)
        board.counts = places[0].board.counts if places else board.counts
        places.append(Place(ear.name, ear.source, board))
    healthy = Healthy(clip_scorer.detector, history)
    told = notify.Outlets(places, clip_scorer.detector.groups, healthy)
    source = ", ".join(place.source for place in places)
    shown = {"host": HOST.value, "port": PORT.value, "source": source, "access": access}
    shown["places"] = places if len(places) > 1 else ()
    server = Monitor(clip_scorer, places[0].board, healthy=healthy, **shown)
    stop = asked_to_stop()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(f"The monitor is at {server.address} (Ctrl-C ends it).", flush=True)
    for ear, place in zip(ears, places, strict=True):
        feed = _feed(ear, place.board, server.scoring, pcm, rule, stop)
        if feed:
            threading.Thread(target=_kept_up, args=(feed, place.board), daemon=True).start()
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
    return Access(token, CERTIFICATE.value, KEY.value, PROXY.value)


@dataclasses.dataclass(frozen=True)
class _Ear:
    """Where sound comes from: a folder, '' for none, and what judges it."""

    name: str
    source: str
    folder: str
    clip_scorer: ClipScorer


def _ears(clip_scorer: ClipScorer) -> list[_Ear]:
    """One for each --watch; one too where there is a stream, or nothing to listen to."""
    found, groups = [], clip_scorer.detector.groups
    names = [machine or os.path.basename(os.path.abspath(f)) for machine, f in options.watched()]
    for name, (told, folder) in zip(names, options.watched(), strict=True):
        machine = chosen_machine(told, groups) if told else clip_scorer.machine
        own = ClipScorer(clip_scorer.detector, machine)
        shown = machine_name(machine, groups) if told and machine else name
        shown = shown if names.count(name) == 1 else folder
        shown = shown if len(names) > 1 else ""  # nothing to tell it apart from
        found.append(_Ear(shown, f"the folder {folder}", folder, own))
    source = "live sound" if options.STREAM.value else ""
    return found or [_Ear("", source, "", clip_scorer)]


def _feed(
    ear: _Ear,
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
            ear.clip_scorer, board, pcm, sys.stdin.fileno(), options.GAP.value, stopped, settings
        )
    if ear.folder:
        watcher = Watcher(
            ear.folder,
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

        return lambda: feed.recordings(ear.clip_scorer, board, groups, alarms, lock, finished)
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
