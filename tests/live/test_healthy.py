"""'This was fine': the threshold moves, and back; a drift is told before it alarms."""

import dataclasses
import datetime
import json
import threading
import urllib.error
import urllib.request

import numpy as np
import pytest

from asd_jax.detector import load_detector
from asd_jax.errors import UserError
from asd_jax.live.alarm import Alarms, Rule
from asd_jax.live.board import Board
from asd_jax.live.healthy import Healthy, apply_answers
from asd_jax.live.history import History, answers, default_path, identity
from asd_jax.live.recordings import ClipScorer, Piece
from asd_jax.live.server import Monitor
from tests.live import browser, machine
from tests.live.test_history import now, row


@pytest.fixture
def own(clip_scorer):
    """A detector that may be changed."""
    return ClipScorer(dataclasses.replace(clip_scorer.detector), machine.GROUPS[0])


def raised(history, score, **values):
    return history.add(row(now(), score=score, alarm_changed="raised", **values), b"RIFF")


def test_the_threshold_moves_and_back(own, tmp_path):
    detector, history = own.detector, History(str(tmp_path / "h"), "d")
    before, scores = detector.thresholds[0], detector.normal_scores[0]
    alarm = raised(history, before + 1.0)
    healthy = Healthy(detector, history)
    said = healthy.answer(alarm, fine=True)
    moved = detector.thresholds[0]
    assert before < moved <= before + 1.0 and f"from {before:.4g} to {moved:.4g}" in said
    assert len(detector.normal_scores[0]) == len(scores) + 1
    assert history.alarms(1)[0]["fine"]
    assert healthy.answer(alarm, fine=True).startswith("The threshold stays")  # once, not twice
    fresh = dataclasses.replace(detector, thresholds=np.array([before]), normal_scores=(scores,))
    Healthy(fresh, history)  # a restart
    assert fresh.thresholds[0] == moved
    healthy.answer(alarm, fine=False)
    assert detector.thresholds[0] == before and not history.alarms(1)[0]["fine"]
    np.testing.assert_array_equal(detector.normal_scores[0], scores)


def test_scoring_beside_the_monitor_counts_its_answers(own, tmp_path):
    folder = tmp_path / "detector"
    own.detector.save(str(folder))
    fresh = load_detector(str(folder))
    before = fresh.thresholds[0]
    assert apply_answers(str(folder), fresh) == "" and fresh.thresholds[0] == before
    history = History(default_path(str(folder)), identity(str(folder)))  # open, as in a monitor
    alarm = raised(history, before + 1.0)
    assert apply_answers(str(folder), fresh) == "" and fresh.thresholds[0] == before
    Healthy(own.detector, history).answer(alarm, fine=True)
    said = apply_answers(str(folder), fresh)
    assert fresh.thresholds[0] == own.detector.thresholds[0] > before
    assert said == (
        "1 alarm of the monitor was answered as fine, so of the thresholds that of hum a moved "
        f"from {before:.4g} to {fresh.thresholds[0]:.4g}."
    )
    other = History(str(tmp_path / "other"), "another detector")
    assert answers(str(tmp_path / "other"), "x") == {} and other


def test_a_damaged_history_is_told_and_leaves_the_thresholds(own, tmp_path):
    folder = tmp_path / "detector"
    own.detector.save(str(folder))
    with open(default_path(str(folder)), "wb") as file:
        file.write(b"no data base" * 100)
    before = own.detector.thresholds[0]
    assert "don't count" in apply_answers(str(folder), own.detector)
    assert own.detector.thresholds[0] == before


def test_one_answer_does_not_deafen_it(own):
    history, detector = History(detector="d"), own.detector
    healthy, before = Healthy(detector, history), own.detector.thresholds[0]
    far = raised(history, before + 1e6)
    healthy.answer(far, fine=True)
    assert before < detector.thresholds[0] <= before + 1e6
    healthy.answer(far, fine=False)
    near = raised(history, before + 1e-6)
    healthy.answer(near, fine=True)
    assert before <= detector.thresholds[0] <= before + 1e-6


def test_only_alarms_of_this_detector(own):
    history = History(detector="d")
    healthy = Healthy(own.detector, history)
    normal = history.add(row(now()))
    for number in (normal, 99, raised(history, 3.0, machine_id="unknown")):
        with pytest.raises(UserError, match="another detector"):
            healthy.answer(number, fine=True)


def test_a_drift_is_told_before_it_alarms(own):
    history, alarms = History(detector="d"), Alarms(Rule(2, 3, 3))
    healthy = Healthy(own.detector, history)
    spread, rng = own.detector.normal_scores[0], np.random.default_rng(0)
    threshold, start = own.detector.thresholds[0], now() - datetime.timedelta(days=6)
    told = alarmed = None
    said = []
    for hour in range(6 * 24):
        rise = max(0.0, hour - 48) / 96 * 1.5 * (threshold - np.median(spread))
        for minute in range(0, 60, 10):
            score = rng.choice(spread) + rise
            at = start + datetime.timedelta(hours=hour, minutes=minute)
            shown = row(at, score=score, decision=int(score > threshold))
            (share,) = own.detector.percentiles(np.array([score]), np.array([0]))
            shown["percentile"] = float(share)
            shown |= alarms.update(shown)
            history.add(shown)
            alarmed = alarmed or (shown["alarm"] and hour)
        if told is None and (said := healthy.drift()):
            told = hour
        assert told is None or hour >= 48, "nothing had changed yet"
    assert told is not None and alarmed is not None and told < alarmed
    assert "hum a drifts" in said[0]


@pytest.fixture
def monitor(own):
    """A monitor with an alarm that was real to it."""
    board = Board(machine.RATE, history=History(detector="d"))
    sound = machine.with_tone(machine.hum(seed=3), start=0.2, end=0.4, hertz=3000, height=900)
    (found,) = own.rows([Piece("odd.wav", sound, [0], 0.0)])
    assert found["decision"] == 1
    found |= {"time": now().isoformat(), "alarm": True, "alarm_changed": "raised"}
    board.score(found, sound)
    server = Monitor(own, board, source="a folder", healthy=Healthy(own.detector, board.history))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def test_answers_come_only_from_the_page(monitor):
    def post(path, **headers):
        request = urllib.request.Request(monitor.address + path, data=b"", headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:
                return answer.status, json.loads(answer.read())
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read())

    assert post("alarms/1/fine", Origin="http://evil.example")[0] == 403
    assert post("alarms/7/fine")[0] == 404 and post("alarms/1/other")[0] == 404
    status, answer = post("alarms/1/fine")
    assert status == 200 and "threshold" in answer["said"]
    assert post("alarms/1/undo")[0] == 200


@pytest.mark.skipif(not browser.found(), reason="no Chromium on this machine")
def test_an_alarm_is_answered_and_taken_back_by_keyboard(monitor, own, tmp_path):
    from tests.live.test_page import SIDEWAYS, keep

    before = own.detector.thresholds[0]
    with browser.page(str(tmp_path / "profile")) as tab:
        tab.size(390, 2000)
        monitor.board.drift = ["The sound of hum a drifts."]
        tab.do("Page.navigate", url=monitor.address)
        label = "document.querySelector('#alarms button')?.textContent"
        tab.until(f"{label} == 'This was fine'")
        tab.value("document.querySelector('#alarms button').focus()")
        tab.press("Enter", 13)
        tab.until(f"{label} == 'Undo'")
        assert own.detector.thresholds[0] > before
        tab.until("document.querySelector('#alarms').textContent.includes('The threshold moved')")
        assert "drifts" in tab.value("document.querySelector('#drift').textContent")
        assert not tab.value(SIDEWAYS) and not tab.errors
        keep(tab, "fine")
        tab.value("document.querySelector('#alarms button').focus()")
        tab.press("Enter", 13)
        tab.until(f"{label} == 'This was fine'")
        assert own.detector.thresholds[0] == before
