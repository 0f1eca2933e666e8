"""Several microphones or machines on one page: each with its own headline, history and pulse."""

import datetime
import json
import os
import sqlite3
import threading
import urllib.error
import urllib.request

import numpy as np
import pytest
import soundfile

from asd_jax.live.board import Board, Place
from asd_jax.live.history import History
from asd_jax.live.server import Monitor
from tests.live import browser, machine
from tests.live.test_board import monitor
from tests.live.test_history import now, row

NAMES = "[...document.querySelectorAll('#places .name')].map((e) => e.textContent).join()"
SAID = "[...document.querySelectorAll('#places .said')].map((e) => e.textContent).join('|')"
WHICH = "document.querySelector('#which').textContent"
VERDICT = "document.querySelector('#verdict').textContent"
SIDEWAYS = "document.documentElement.scrollWidth > document.documentElement.clientWidth"


@pytest.fixture
def hall(clip_scorer, tmp_path):
    """A server of two places, and the history of both."""
    history = History(str(tmp_path / "h"), "d")
    boards = [Board(machine.RATE, history=history.of(name)) for name in ("west", "east")]
    places = [Place(n, f"the folder {n}", b) for n, b in zip(("W", "E"), boards, strict=True)]
    server = Monitor(clip_scorer, boards[0], source="both", places=places)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server, history
    server.shutdown()
    server.server_close()


def ask(server, path):
    try:
        with urllib.request.urlopen(server.address + path, timeout=60) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())


def test_each_place_has_its_own_scores_alarms_and_pulse(hall):
    server, history = hall
    west, east = server.boards
    west.hear(machine.hum(2.0))
    west.score(row(now(), score=1.0), machine.hum())
    raised = row(now(), score=9.0, alarm=True, alarm_changed="raised")
    east.score(raised, machine.hum())
    east.note("The microphone is gone.", paused=True)
    assert [p["name"] for p in ask(server, "about")[1]["places"]] == ["W", "E"]
    first, second = ask(server, "places")[1]
    assert (first["paused"], second["paused"]) == (False, True)
    assert (first["last"]["score"], second["last"]["score"]) == (1.0, 9.0)
    state = [ask(server, f"state?place={k}")[1] for k in (0, 1)]
    assert [len(s["alarms"]) for s in state] == [0, 1]
    assert [p["score"] for s in state for p in s["points"]] == [1.0, 9.0]
    assert state[0]["drawn"] == 19 and state[1]["drawn"] == 0
    assert ask(server, "state")[1]["points"] == state[0]["points"]
    assert [hour["alarms"] for k in (0, 1) for hour in ask(server, f"trend?place={k}")[1]] == [0, 1]
    assert ask(server, "state?place=2")[0] == ask(server, "state?place=-1")[0] == 404
    status, health = ask(server, "health")  # one that is silent is enough
    assert status == 503 and health["why"] == "The microphone is gone."
    assert [len(history.of(name).recent(9)) for name in ("west", "east", "")] == [1, 1, 0]
    assert history.of("east").alarms(9)[0]["score"] == 9.0 and not history.alarms(9)


def test_a_history_of_one_place_is_taken_over(tmp_path):
    path = str(tmp_path / "h")
    History(path, "d").add(row(now(), score=3.0))
    with sqlite3.connect(path) as base:
        base.execute("ALTER TABLE scores DROP COLUMN place")  # as before there were places
    history = History(str(tmp_path / "h"), "d")
    assert [point["score"] for point in history.recent(5)] == [3.0]
    assert history.of("west").recent(5) == []


def record(folder, number, sound):
    at = datetime.datetime.now() + datetime.timedelta(seconds=number)
    part = folder / "part"
    soundfile.write(str(part), sound, machine.RATE, format="WAV")
    os.rename(part, folder / f"{at:%Y%m%d-%H%M%S}.wav")


@pytest.mark.skipif(not browser.found(), reason="no Chromium on this machine")
def test_two_folders_on_one_page_worst_first(detector_folder, tmp_path):
    west, east = tmp_path / "west", tmp_path / "east"
    for folder in (west, east):
        folder.mkdir()
    arguments = (f"--watch={west}", f"--watch=hum/a={east}", "--port=0", "--settle=0.1")
    odd = machine.with_tone(machine.hum(seed=5), start=0.3, end=0.6, hertz=2000)
    cache = tmp_path / "cache"
    with browser.page(str(tmp_path / "profile")) as tab:
        with monitor(detector_folder, *arguments, cache=cache) as (_, address):
            tab.size(1280, 1200)
            tab.do("Page.navigate", url=address)
            tab.until(f"{NAMES} == 'west,hum/a' || {NAMES} == 'west,hum a'", 180)
            record(west, 0, machine.hum(seed=4))
            tab.until(f"{SAID}.includes('Sounds normal')", 180)
            for number in range(3):
                record(east, number, odd)
            tab.until(f"{SAID}.startsWith('Alarm') && {SAID}.endsWith('Sounds normal')", 180)
            tab.until(f"{WHICH} == 'hum a' && {VERDICT}.startsWith('Alarm')", 60)  # the worst
            assert tab.value("document.title").startswith("ALARM")
            tab.until("document.querySelectorAll('#alarms li').length == 1")
            shown = tab.value("document.querySelector('#alarms').textContent")
            assert "Strongest deviation" in shown and "kHz" in shown
            choose_by_keyboard(tab)
            tab.until(f"{WHICH} == 'west' && {VERDICT} == 'Sounds normal'")
            assert tab.value("document.querySelectorAll('#alarms li').length") == 0
            assert tab.value("document.activeElement.textContent").startswith("west")
            assert tab.value("document.title").startswith("ALARM")  # of the other one
            for width in (320, 390):
                tab.size(width, 2200)
                tab.until(f"innerWidth == {width}")
                assert not tab.value(SIDEWAYS)
                height = "document.querySelector('#places button').getBoundingClientRect().height"
                assert tab.value(height) >= 44
            if os.environ.get("ASD_JAX_PICTURES"):
                tab.picture(os.path.join(os.environ["ASD_JAX_PICTURES"], "places-phone.png"))
                tab.size(1280, 1200)
                tab.picture(os.path.join(os.environ["ASD_JAX_PICTURES"], "places.png"))
            assert not tab.errors
        tab.until(f"{VERDICT} == 'Not connected'", 180)
        assert tab.value(SAID) == "Not connected|Not connected"
        with monitor(detector_folder, *arguments, cache=cache) as (_, address):
            tab.do("Page.navigate", url=address)  # each goes on from its own history
            tab.until(f"{SAID}.startsWith('Alarm') && {SAID}.endsWith('Sounds normal')", 180)


def choose_by_keyboard(tab):
    tab.value("document.activeElement.blur(), window.scrollTo(0, 0)")
    for _ in range(6):
        tab.press("Tab", 9)
        if tab.value("document.activeElement.textContent").startswith("west"):
            break
    assert tab.value("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    tab.press("Enter", 13)


def test_spectra_are_of_the_place_that_is_asked_for(hall):
    server, _ = hall
    server.boards[1].hear(machine.hum(3.0))
    assert np.array([ask(server, f"state?place={k}")[1]["drawn"] for k in (0, 1)]).tolist() == [
        0,
        29,
    ]
