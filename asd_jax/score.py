r"""Scores recordings: `python -m asd_jax.score --detector=RUN/detector PATH...`.

    python -m asd_jax.score --detector=RUN/detector PATH...          files, folders, - for stdin
    python -m asd_jax.score --detector=RUN/detector --watch=DIR      a growing folder
    arecord -t raw -f S16_LE -r 16000 | \
    python -m asd_jax.score --detector=RUN/detector --stream --rate=16000

Prints a table, CSV or JSON lines (--format) and then an answer, `6 of 9 anomalous.`; writes a CSV
with --output and a page with --report: when, which, and why. The exit status is 1 when a recording
could not be read; the others are scored all the same. See asd_jax/live/README.md.
"""

import contextlib
import io
import os
import sys
from collections.abc import Iterator, Sequence

from absl import flags

from asd_jax import commands
from asd_jax.errors import UserError, WriteError
from asd_jax.files import check_writable, why
from asd_jax.live import answer, options
from asd_jax.live.alarm import Alarm, Alarms, Rule
from asd_jax.live.options import asked_to_stop, load_clip_scorer
from asd_jax.live.output import FORMATS, Output
from asd_jax.live.pcm import Pcm
from asd_jax.live.recordings import (
    ClipScorer,
    Unreadable,
    chosen_machine,
    find_recordings,
    machines_of,
    score_each,
    score_paths,
)
from asd_jax.live.watcher import Watcher, watch
from asd_jax.naming import printable

__all__ = ["chosen_machine", "find_recordings", "machines_of", "score_paths"]

flags.adopt_module_key_flags(options)
OUTPUT = flags.DEFINE_string(
    "output", None, "Write the scores to this CSV file too.", allow_override=True
)
REPORT = flags.DEFINE_string(
    "report", None, "Write a page (HTML): time line, machines, the clips to see and to hear."
)
ANSWERS = flags.DEFINE_bool(
    "answers", True, "Count the monitor's alarms that were answered as fine among the healthy."
)
FORMAT = flags.DEFINE_enum(
    "format", None, FORMATS, "Of the output: table; with --watch and --stream, json (lines)."
)

POLL = 1.0  # s between two looks into a watched folder


def main(argv: Sequence[str]) -> int:
    """Scores the paths in `argv[1:]`, a folder or a stream."""
    _check(argv)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a path may hold bytes that are no text
    try:
        return _score(argv[1:])
    except BrokenPipeError:  # `| head` has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _score(paths: Sequence[str]) -> int:
    if options.STREAM.value or options.WATCH.value:
        return _score_live()
    found = find_recordings(paths)
    _check_output("output", OUTPUT.value)
    _check_output("report", REPORT.value)
    clip_scorer = load_clip_scorer(options.DETECTOR.value, options.MACHINE.value)
    output = Output(FORMAT.value or "table", clip_scorer.detector.groups)
    return score_recordings(clip_scorer, output, found, _answered(clip_scorer))


def _score_live() -> int:
    rule = Rule.parse(options.ALARM_AFTER.value, options.CLEAR_AFTER.value)
    pcm = Pcm(options.RATE.value, options.SAMPLE_FORMAT.value, options.CHANNELS.value)
    # Before the detector is loaded: what comes meanwhile is new.
    machine, folder = (options.watched() or [(None, "")])[0]
    watcher = folder and Watcher(
        folder, settle=options.SETTLE.value, skip_existing=options.SKIP.value
    )
    clip_scorer = load_clip_scorer(options.DETECTOR.value, machine or options.MACHINE.value)
    output = Output(FORMAT.value or "json", clip_scorer.detector.groups)
    _answered(clip_scorer)
    if watcher:
        return score_folder(clip_scorer, output, watcher, rule)
    return score_stream(clip_scorer, output, pcm, rule)


def _answered(clip_scorer: ClipScorer) -> str:
    """Counts alarms that were fine among the healthy; what came of it, in words."""
    if not ANSWERS.value:
        return ""
    from asd_jax.live.healthy import apply_answers

    said = apply_answers(options.DETECTOR.value, clip_scorer.detector)
    if said:
        print(printable(said), file=sys.stderr)
    return said


def _check(argv: Sequence[str]) -> None:
    options.check_live()
    ways = (len(argv) > 1) + bool(options.WATCH.value) + bool(options.STREAM.value)
    if not ways:
        raise UserError("give recordings or folders to score, or --watch=DIR, or --stream.")
    if ways > 1:
        raise UserError("give one of: recordings, --watch=DIR, --stream.")
    if len(options.WATCH.value) > 1:
        raise UserError("asd_jax.score watches one folder; asd_jax.monitor takes several --watch.")
    if OUTPUT.value and (options.WATCH.value or options.STREAM.value):
        raise UserError("--output goes with recordings; send this to a file with > FILE.")
    if REPORT.value and (options.WATCH.value or options.STREAM.value):
        raise UserError("--report goes with recordings; asd_jax.monitor has a page of what comes.")


def score_recordings(
    clip_scorer: ClipScorer, output: Output, paths: Sequence[str], answered: str = ""
) -> int:
    """Scores each recording once; the exit status is 1 if one was unreadable.

    Args:
        clip_scorer: judges.
        output: what is printed to.
        paths: of the recordings.
        answered: a sentence on thresholds that were moved; the page says it too.
    """
    rows, unreadable = [], []
    for found in score_each(clip_scorer, paths):
        if isinstance(found, Unreadable):
            unreadable.append(found)
            print(printable(f"not scored: {found.path}: {found.reason}"), file=sys.stderr)
        else:
            rows.append(found)
            output.row(found)
    told = answer.labelled(rows)
    output.answer(answer.sentences(told, unreadable, clip_scorer.detector.groups))
    if OUTPUT.value:
        from asd_jax.report.files import write_scores

        with _written("output", OUTPUT.value):
            write_scores(OUTPUT.value, rows)
    if REPORT.value:
        with _written("report", REPORT.value):
            answer.write_page(REPORT.value, clip_scorer, told, unreadable, answered)
    return 1 if unreadable else 0


@contextlib.contextmanager
def _written(flag: str, path: str) -> Iterator[None]:
    """Names the flag and the path where writing fails."""
    try:
        yield
    except OSError as error:
        raise WriteError(f"--{flag}={path}: {why(error)}.") from error


def _check_output(flag: str, path: str | None) -> None:
    """Refuses a file that cannot be written, before the work and not after it."""
    try:
        if path:
            check_writable(path)
    except OSError as error:
        raise UserError(f"--{flag}={path}: {why(error)}.") from error


def score_folder(clip_scorer: ClipScorer, output: Output, watcher: Watcher, rule: Rule) -> int:
    """Scores what comes into a folder until Ctrl-C or SIGTERM; each machine has its own alarm."""
    alarms = Alarms(rule)
    stop = asked_to_stop()
    scored = 0
    for ready in watch(watcher, poll=POLL, wait=stop.wait):
        for found in score_each(clip_scorer, ready):
            if isinstance(found, Unreadable):
                said = f"not scored: {found.path}: {found.reason}"
                output.note(said, event="unreadable", **found._asdict())
            else:
                scored += 1
                output.row({"event": "recording", **found, **alarms.update(found)})
            if stop.is_set():
                break
    output.note(f"Stopped: {scored} clips scored.", event="end", clips=scored)
    return 0


def score_stream(clip_scorer: ClipScorer, output: Output, pcm: Pcm, rule: Rule) -> int:
    """Scores standard input window by window until it ends, or until Ctrl-C or SIGTERM."""
    from asd_jax.live.stream import StreamScorer, chunks, sentence

    stream_scorer = StreamScorer(clip_scorer, pcm, hop=options.HOP.value, alarm=Alarm(rule))
    stream_scorer.warm_up()
    stop = asked_to_stop()
    windows = 0
    for event in stream_scorer.listen(
        chunks(sys.stdin.fileno(), gap=options.GAP.value, stopped=stop.is_set)
    ):
        if event["event"] == "window":
            windows += 1
            output.row(event)
        else:
            output.note(sentence(event), **event)
    if not windows and not stop.is_set():
        raise UserError("the sound ended before half a clip had come: nothing was scored.")
    return 0


if __name__ == "__main__":
    commands.run(main)
