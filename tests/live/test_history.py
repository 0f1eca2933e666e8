"""What a monitor remembers: over a restart, by the recording's time, by day and hour."""

import datetime
import os
import threading
import time

import pytest
import soundfile

from asd_jax.errors import UserError
from asd_jax.live import feed
from asd_jax.live.alarm import Alarms, Rule
from asd_jax.live.board import Board
from asd_jax.live.history import History, default_path
from asd_jax.live.watcher import Watcher
from tests.data import odd
from tests.live import browser, machine


def row(at, **values):
    known = {"machine_type": "hum", "machine_id": "a", "path": "x.wav", "score": 1.0, "quality": ""}
    known |= {"threshold": 2.0, "percentile": 50.0, "decision": 0, "alarm": False}
    return known | {"alarm_changed": "", "time": at.isoformat()} | values


def now():
    return datetime.datetime.now().astimezone().replace(microsecond=0)


def session(clip_scorer, folder, file):
    """One life of a monitor that looks at a folder once; its board."""
    history = History(str(file), "d")
    board = Board(machine.RATE, history=history)
    watcher = Watcher(str(folder), settle=0.0, given=history.done())
    alarms = Alarms(Rule(1, 1, 2))
    for seen in history.recent(1000):
        alarms.update(seen)

    def finished(path):
        history.finish(path, watcher.state(path))

    feed.recordings(clip_scorer, board, [watcher.ready()], alarms, threading.Lock(), finished)
    return board


def test_a_restart_raises_no_old_alarm_anew(clip_scorer, tmp_path):
    folder, file = tmp_path / "in", tmp_path / "history.sqlite"
    folder.mkdir()
    odd = machine.with_tone(machine.hum(seed=3), start=0, end=1, hertz=3000)
    soundfile.write(str(folder / "a_20260102-030405.wav"), odd, machine.RATE)
    board = session(clip_scorer, folder, file)
    (alarm,) = board.state()["alarms"]
    local = datetime.datetime(2026, 1, 2, 3, 4, 5).astimezone()
    assert datetime.datetime.fromisoformat(alarm["time"]) == local
    del board
    soundfile.write(str(folder / "b.wav"), odd, machine.RATE)  # the fault goes on
    again = session(clip_scorer, folder, file)
    state = again.state()
    assert [point["path"] for point in state["points"]] == [
        str(folder / "a_20260102-030405.wav"),
        str(folder / "b.wav"),
    ]
    assert state["points"][1]["alarm"] and [a["id"] for a in state["alarms"]] == [alarm["id"]]
    assert again.sound(alarm["id"])[:4] == b"RIFF" and state["judged"] > time.time() - 600


def test_a_recording_is_of_when_it_was_made(tmp_path):
    path = tmp_path / "a.wav"
    soundfile.write(str(path), machine.hum(2.0), machine.RATE)
    os.utime(path, (1e9, 1e9))
    assert feed.recorded(str(path)).timestamp() == 1e9 - 2
    for name in ("m 2026-11-30T14:03:22.wav", "20261130140322.wav", "x_2026-11-30_14-03-22_1.wav"):
        found = feed.recorded(str(tmp_path / name))
        assert found == datetime.datetime(2026, 11, 30, 14, 3, 22).astimezone(), name
    os.rename(path, tmp_path / "20269930140322.wav")  # no date
    assert feed.recorded(str(tmp_path / "20269930140322.wav")).timestamp() == 1e9 - 2


def test_when_it_was_made_is_told_of_any_file(tmp_path):
    folder = os.fsencode(tmp_path)
    whole = odd.wav(machine.hum(2.0))
    flac = odd.claim_flac_samples(odd.written(tmp_path / "x.flac", machine.hum()), 2**36 - 1)
    for name, data, seconds in (
        (b"Ger\xe4usch.wav", whole, 2),  # no UTF-8
        (b"forged.flac", flac, 0),
        (b"crashed.wav", odd.wav(machine.hum(2.0), size=0, outer=36), 2),
        (b"empty.wav", b"", 0),
    ):
        path = os.path.join(folder, name)
        with open(path, "wb") as file:
            file.write(data)
        os.utime(path, (1e9, 1e9))
        assert feed.recorded(os.fsdecode(path)).timestamp() == 1e9 - seconds
    os.mkfifo(tmp_path / "pipe.wav")
    assert feed.recorded(str(tmp_path / "pipe.wav"))


def test_one_monitor_a_history_and_a_place_for_it(tmp_path):
    assert default_path(str(tmp_path / "detector")) == str(tmp_path / "history.sqlite")
    (tmp_path / "text").write_text("no history at all, but long enough to be looked at" * 20)
    with pytest.raises(UserError, match="give a file that can be written"):
        History(str(tmp_path / "text" / "history.sqlite"))
    with pytest.raises(UserError, match="not a database"):
        History(str(tmp_path / "text"))


def week(history):
    """Seven days, two clips each hour; from the fifth on they depart more and more."""
    start = now().replace(minute=0, second=0) - datetime.timedelta(days=7)
    for hour in range(7 * 24):
        at = start + datetime.timedelta(hours=hour)
        drift = max(0.0, (hour - 96) / 72)
        for minutes, share in ((5, 40.0), (35, 60.0)):
            raised = "raised" if hour == 160 and minutes == 35 else ""
            shown = row(
                at + datetime.timedelta(minutes=minutes),
                percentile=share + (100 - share) * drift,
                decision=int(drift > 0.7),
                alarm_changed=raised,
            )
            history.add(shown, b"RIFF" if raised else None)
    return start


def test_the_trend_is_by_day_and_hour():
    history = History(detector="new")
    start = week(history)
    other = History(detector="old")
    other.add(row(start))
    trend = history.trend()
    assert len(trend) == 7 * 24 and (trend[0]["day"], trend[0]["hour"]) == (
        start.date().isoformat(),
        start.hour,
    )
    assert trend[0] | {"clips": 2, "percentile": 50.0, "anomalous": 0, "alarms": 0} == trend[0]
    assert trend[160]["alarms"] == 1 and trend[160]["anomalous"] == 2
    assert trend[167]["percentile"] > trend[120]["percentile"] > 60
    history.add(row(start, machine_id="b", percentile=99.0))
    assert history.trend()[0] | {"percentile": 99.0, "clips": 3} == history.trend()[0]


def test_scores_of_another_detector_are_not_compared(tmp_path):
    file = str(tmp_path / "h")
    history = History(file, "old")
    history.add(row(now(), alarm_changed="raised"), b"RIFF")
    del history
    history = History(file, "new")
    assert history.recent(9) == [] and history.trend() == [] and len(history.alarms(9)) == 1


@pytest.mark.skipif(not browser.found(), reason="no Chromium on this machine")
def test_a_week_is_shown(clip_scorer, tmp_path):
    from asd_jax.live.server import Monitor
    from tests.live.test_page import SIDEWAYS, keep

    board = Board(machine.RATE)
    week(board.history)
    server = Monitor(clip_scorer, board, source="a folder")
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with browser.page(str(tmp_path / "profile")) as tab:
        for width, height in ((1280, 1400), (390, 2000)):
            tab.size(width, height)
            tab.do("Page.navigate", url=server.address)
            tab.until(
                "document.querySelector('#trend') && !document.querySelector('#weeks').hidden"
            )
            said = tab.value("document.querySelector('#trend').getAttribute('aria-label')")
            assert "1 alarm." in said and "8 days" in said
            assert not tab.value(SIDEWAYS) and not tab.errors
            keep(tab, f"week{width}")
    server.shutdown()
    server.server_close()
