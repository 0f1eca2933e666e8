"""`python -m tests.soak watch|stream|many [SECONDS] [DETECTOR]`: the listening command for long.

`watch` lets recordings into a folder and takes old ones away, `stream` sends sound, both as fast as
they are scored; `many` watches 100,000 files that lie there. What the command holds is printed ten
times on the way: memory, open files, threads, the share of a core. At the end it has to hold no
more than it did after a fifth of the time, and the same sound must have had the same score all the
time. Without DETECTOR it is one of statistics, made in a second. Linux alone.
"""

import contextlib
import itertools
import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

os.environ.setdefault("JAX_PLATFORMS", "cpu")

KINDS = 7  # of recordings, which come again and again
KEPT = 200  # recordings in the folder at once
AHEAD = 50  # recordings or seconds of sound that may wait to be scored
MANY = 100_000
GROWTH = 1.05  # of memory, from a fifth of the time to its end


class Held(NamedTuple):
    """What a process holds."""

    megabytes: float
    handles: int
    threads: int
    cpu: float  # s


def held(pid: int) -> Held:
    """Reads it from /proc."""
    process = pathlib.Path("/proc", str(pid))
    status = dict(line.split(":", 1) for line in (process / "status").read_text().splitlines())
    ticks = (process / "stat").read_text().rpartition(")")[2].split()[11:13]
    cpu = sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK")
    kilobytes = int(status["VmRSS"].split()[0])
    return Held(
        kilobytes / 1024, len(list((process / "fd").iterdir())), int(status["Threads"]), cpu
    )


class Listener:
    """The command, and the scores that it has printed by the kind of their sound."""

    def __init__(self, detector: str, *options: str, kind: Callable[[dict], int]):
        command = [sys.executable, "-m", "asd_jax.score", f"--detector={detector}", *options]
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(command, stdin=pipe, stdout=pipe)
        self.scores: dict[int, set[float]] = {}
        self.scored = 0
        self._kind = kind
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout
        for line in self.process.stdout:
            event = json.loads(line)
            if event.get("event") in ("recording", "window"):
                self.scores.setdefault(self._kind(event), set()).add(event["score"])
                self.scored += 1

    def follow(self, seconds: float, feed: Iterator[None]) -> None:
        """Feeds it and prints what it holds, once it has compiled all that it needs."""
        while self.scored < 2 * AHEAD:
            assert self.process.poll() is None, f"it ended with {self.process.returncode}"
            next(feed)
        start, last, looks = time.time(), held(self.process.pid), []
        print("      s  scored     MB  handles  threads  % of a core")
        for look in range(1, 11):
            before = time.time()
            while time.time() < start + look * seconds / 10:
                assert self.process.poll() is None, f"it ended with {self.process.returncode}"
                next(feed)
            now = held(self.process.pid)
            share = (now.cpu - last.cpu) / (time.time() - before)
            print(
                f"{time.time() - start:7.0f} {self.scored:7} {now.megabytes:6.0f} {now.handles:8} "
                f"{now.threads:8} {share:12.1%}",
                flush=True,
            )
            looks.append(now)
            last = now
        self._judge(looks)

    def _judge(self, looks: list[Held]) -> None:
        early, end = looks[1], looks[-1]
        assert end.megabytes <= GROWTH * early.megabytes, "its memory grows"
        assert end.handles <= early.handles + 2, "it keeps files open"
        assert end.threads <= early.threads, "it keeps threads"
        spread = max((max(s) - min(s) for s in self.scores.values()), default=0.0)
        print(f"The same sound had the same score up to {spread:.2g}.")
        assert spread < 1e-3, "its scores drift"

    def stop(self) -> None:
        """Stops it as Ctrl-C does."""
        self.process.send_signal(signal.SIGINT)
        with contextlib.suppress(OSError):
            assert self.process.stdin
            self.process.stdin.close()
        status = self.process.wait(60)
        self._reader.join(10)
        print(f"Stopped with status {status}; {self.scored} scored.")
        assert status == 0


def sound(kind: int) -> np.ndarray:
    """A clip of a kind, int16: the last ones are no health."""
    from tests.live import machine

    wave = machine.hum(seed=kind)
    if kind < KINDS - 2:
        return wave
    return machine.with_tone(wave, start=0.2, end=0.8, hertz=1000.0 * kind, height=4000)


def watch(detector: str, seconds: float, folder: str) -> None:
    """Recordings come and go."""
    from tests.data import odd

    files = [odd.wav(sound(kind)) for kind in range(KINDS)]
    listener = Listener(
        detector,
        f"--watch={folder}",
        "--settle=0.2",
        kind=lambda row: int(row["path"].rpartition("_")[2].removesuffix(".wav")),
    )

    def feed() -> Iterator[None]:
        for number in itertools.count():
            path = pathlib.Path(folder, f"{number:07d}_{number % KINDS}.wav")
            path.with_suffix(".part").write_bytes(files[number % KINDS])
            path.with_suffix(".part").rename(path)
            if number >= KEPT:
                old = number - KEPT
                pathlib.Path(folder, f"{old:07d}_{old % KINDS}.wav").unlink()
            while number - listener.scored > AHEAD:
                time.sleep(0.05)
                yield
            yield

    listener.follow(seconds, feed())
    listener.stop()


def stream(detector: str, seconds: float, _: str) -> None:
    """Sound without an end."""
    listener = Listener(
        detector, "--stream", "--hop=1", kind=lambda row: round(row["from_s"]) % KINDS
    )
    pipe = listener.process.stdin
    assert pipe

    def feed() -> Iterator[None]:
        for number in itertools.count():
            pipe.write(sound(number % KINDS).astype("<i2").tobytes())
            while number - listener.scored > AHEAD:
                time.sleep(0.01)
                yield
            yield

    listener.follow(seconds, feed())
    listener.stop()


def many(detector: str, seconds: float, folder: str) -> None:
    """A folder full of files that have been scored; now and then one more comes."""
    from tests.data import odd

    data = odd.wav(sound(0))
    for number in range(MANY):
        pathlib.Path(folder, f"{number:06d}_0.wav").write_bytes(data[:2000])
    listener = Listener(detector, f"--watch={folder}", "--skip_existing", kind=lambda row: 0)
    start = time.time()
    while time.time() < start + seconds / 4:  # until it has begun
        time.sleep(1)
    before, began = held(listener.process.pid), time.time()
    time.sleep(seconds)
    now = held(listener.process.pid)
    share = (now.cpu - before.cpu) / (time.time() - began)
    print(f"{share:.1%} of a core, {now.megabytes:.0f} MB, {now.handles} handles")
    listener.stop()
    assert share < 0.05


def main() -> None:
    """Runs one of them."""
    name, seconds = sys.argv[1], float((sys.argv[2:] or ["60"])[0])
    with tempfile.TemporaryDirectory() as folder:
        detector = (sys.argv[3:] or [""])[0]
        if not detector:
            from tests.live import machine

            detector = os.path.join(folder, "detector")
            machine.detector().save(detector)
        os.mkdir(os.path.join(folder, "in"))
        {"watch": watch, "stream": stream, "many": many}[name](
            detector, seconds, os.path.join(folder, "in")
        )


if __name__ == "__main__":
    main()
