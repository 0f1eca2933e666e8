"""Whether sound still comes, and that the page never looks calm when it does not."""

import contextlib
import os
import signal
import subprocess
import sys

import pytest
import soundfile

from asd_jax.live.board import HUNG, Pulse
from tests.live import browser, machine

VERDICT = "document.querySelector('#verdict').textContent"
DETAIL = "document.querySelector('#detail').textContent"


class Clock:
    now = 1000.0

    def __call__(self):
        return self.now


def test_silence_beyond_what_is_expected_is_told():
    clock = Clock()
    pulse = Pulse(60.0, clock=clock)
    clock.now += 59
    assert not pulse.lost()
    clock.now += 2
    assert pulse.lost() == "No new sound for 61 s; one is expected every 60 s."
    pulse.judge()
    assert not pulse.lost() and pulse.judged == clock.now
    pulse.beat("The folder is gone.")
    assert pulse.lost() == "The folder is gone."
    pulse.beat()
    assert not pulse.lost()


def test_a_listener_that_hangs_is_told_even_where_nothing_is_expected():
    clock = Clock()
    pulse = Pulse(0.0, clock=clock)
    clock.now += 1e6  # it still starts: a first compilation takes as long as it takes
    assert not pulse.lost()
    pulse.beat()
    clock.now += HUNG - 1
    assert not pulse.lost()
    clock.now += 2
    assert pulse.lost().startswith("Listening hangs")


@contextlib.contextmanager
def monitor(detector_folder, *arguments, cache):
    """A monitor as a process of its own, and its address; it is ended however the test ends."""
    run = subprocess.Popen(
        [sys.executable, "-m", "asd_jax.monitor", f"--detector={detector_folder}", *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=os.environ | {"XDG_CACHE_HOME": str(cache), "XLA_FLAGS": ""},
    )
    try:
        yield run, run.stdout.readline().decode().split()[4]
    finally:
        run.kill()
        run.wait()


def until_it_says(tab, start):
    tab.until(f"{VERDICT}.startsWith({start!r})", 60)


@pytest.mark.skipif(not browser.found(), reason="no Chromium on this machine")
def test_it_never_looks_calm_when_something_is_dead(detector_folder, tmp_path):
    folder, away = tmp_path / "in", tmp_path / "away"
    folder.mkdir()

    def record(name):
        soundfile.write(str(folder / "part"), machine.hum(seed=4), machine.RATE, format="WAV")
        os.rename(folder / "part", folder / f"{name}.wav")

    arguments = (f"--watch={folder}", "--port=0", "--settle=0.1", "--expect_every=5")
    with (
        monitor(detector_folder, *arguments, cache=tmp_path / "cache") as (run, address),
        browser.page(str(tmp_path / "profile")) as tab,
    ):
        tab.do("Page.navigate", url=address)
        record("a")
        until_it_says(tab, "Sounds normal")
        assert "last sound judged" in tab.value("document.querySelector('h1').textContent")
        until_it_says(tab, "No sound since ")  # the recorder stopped
        assert "expected every 5 s" in tab.value(DETAIL)
        record("b")
        until_it_says(tab, "Sounds normal")
        folder.rename(away)
        tab.until(f"{DETAIL}.includes('is gone')", 60)
        assert tab.value(VERDICT).startswith("No sound since ")
        away.rename(folder)
        record("c")
        until_it_says(tab, "Sounds normal")
        run.send_signal(signal.SIGSTOP)
        until_it_says(tab, "Not connected")
        assert tab.value("document.title").startswith("NOT CONNECTED")
        assert "has not answered since" in tab.value(DETAIL)
        run.send_signal(signal.SIGCONT)
        until_it_says(tab, "No sound since ")
        record("d")
        until_it_says(tab, "Sounds normal")
        run.kill()
        until_it_says(tab, "Not connected")


@pytest.mark.skipif(not browser.found(), reason="no Chromium on this machine")
def test_a_recorder_that_died_is_told(detector_folder, tmp_path):
    arguments = ("--stream", "--port=0", "--hop=1", "--gap=60")
    with (
        monitor(detector_folder, *arguments, cache=tmp_path / "cache") as (run, address),
        browser.page(str(tmp_path / "profile")) as tab,
    ):
        tab.do("Page.navigate", url=address)
        run.stdin.write(machine.hum(3.0).tobytes())
        run.stdin.flush()
        until_it_says(tab, "Sounds normal")
        run.stdin.close()
        run.stdin = None
        until_it_says(tab, "No sound since ")
        assert "The sound ended" in tab.value(DETAIL)
