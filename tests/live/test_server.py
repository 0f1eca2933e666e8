"""The monitor over HTTP: its page, its state, recordings sent to it, and who is refused."""

import base64
import dataclasses
import errno
import http.client
import io
import json
import socket
import threading
import urllib.error
import urllib.request
import wave

import numpy as np
import pytest
import soundfile

from asd_jax.data.decode import UnreadableError
from asd_jax.errors import UserError
from asd_jax.live import history, server
from asd_jax.live.board import MELS, Board
from asd_jax.live.recordings import ClipScorer
from asd_jax.live.server import Monitor
from tests.live import machine


@pytest.fixture
def monitor(clip_scorer):
    made = Monitor(clip_scorer, Board(machine.RATE), source="a test", limit=1 << 20)
    threading.Thread(target=made.serve_forever, daemon=True).start()
    yield made
    made.shutdown()
    made.server_close()


def wav(sound):
    file = io.BytesIO()
    soundfile.write(file, sound, machine.RATE, format="WAV")
    return file.getvalue()


def ask(monitor, path, data=None, **headers):
    """(status, headers, body) of a request."""
    request = urllib.request.Request(monitor.address + path, data=data, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, answer.headers, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.headers, error.read()


def row(**values):
    known = {"score": 1.0, "threshold": 0.5, "decision": 1, "alarm": True, "alarm_changed": ""}
    known |= {"machine_type": "hum", "machine_id": "a", "percentile": 99.0}
    return known | {"time": "2026-01-01T00:00:00+00:00"} | values


@pytest.mark.parametrize(
    ("path", "kind"),
    [("", "text/html"), ("monitor.js", "text/javascript"), ("monitor.css", "text")],
)
def test_the_page_needs_nothing_from_elsewhere(monitor, path, kind):
    status, headers, body = ask(monitor, path)
    assert status == 200 and headers["Content-Type"].startswith(kind)
    assert "default-src 'self'" in headers["Content-Security-Policy"]
    assert b"http://" not in body and b"https://" not in body and b"innerHTML" not in body


def test_a_machine_whose_id_tells_nothing_apart_is_named_without_it(clip_scorer):
    detector = dataclasses.replace(clip_scorer.detector, groups=(("pump", "00"),))
    server = Monitor(ClipScorer(detector, ("pump", "00")), Board(machine.RATE))
    server.server_close()
    assert server.about["machines"] == ["pump"] and server.about["machine"] == "pump"
    assert server.about["groups"] == (("pump", "00"),)  # as rows have it


def test_the_state_holds_what_a_page_lacks(monitor):
    board = monitor.board
    tone = machine.with_tone(np.zeros(32000, np.int16), start=0, end=2, hertz=2000, height=8000)
    for part in np.array_split(tone, 7):
        board.hear(part)
    state = json.loads(ask(monitor, "state?drawn=0&version=-1")[2])
    picture = np.frombuffer(base64.b64decode(state["columns"]), np.uint8).reshape(-1, MELS)
    assert len(picture) == state["drawn"] == 19  # frames that lie wholly in 2 s
    about = json.loads(ask(monitor, "about")[2])
    assert abs(about["frequencies"][picture[5].argmax()] - 2000) < 100
    again = json.loads(ask(monitor, f"state?drawn=15&version={state['version']}")[2])
    assert len(base64.b64decode(again["columns"])) == 4 * MELS and "points" not in again
    restarted = json.loads(ask(monitor, "state?drawn=999&version=0")[2])
    assert len(base64.b64decode(restarted["columns"])) == 19 * MELS
    board.score(row(score=float("nan")), machine.hum())
    state = json.loads(ask(monitor, "state?drawn=19&version=0")[2])
    assert state["points"][0]["score"] is None and state["columns"] == ""


def test_the_picture_does_not_depend_on_how_the_sound_came():
    sound, boards = machine.hum(3.0), []
    for parts in (1, 100):
        boards.append(Board(machine.RATE))
        for part in np.array_split(sound, parts):
            boards[-1].hear(part)
    assert boards[0].state() == boards[1].state()


def test_an_alarm_can_be_heard_and_old_ones_are_let_go(monitor, monkeypatch):
    board, sound = monitor.board, machine.hum() // 8
    board.score(row(), sound)
    assert ask(monitor, "alarms/1.wav")[0] == 404  # a clip that raised none
    monkeypatch.setattr(history, "KEPT_SOUNDS", 20)
    for _ in range(21):
        board.score(row(alarm_changed="raised"), sound)
    state = json.loads(ask(monitor, "state")[2])
    assert [alarm["id"] for alarm in state["alarms"]] == list(range(22, 2, -1))
    assert ask(monitor, "alarms/2.wav")[0] == 404
    status, headers, body = ask(monitor, "alarms/22.wav")
    assert status == 200 and headers["Content-Type"] == "audio/wav"
    with wave.open(io.BytesIO(body)) as file:
        assert (file.getframerate(), file.getnframes()) == (16000, len(sound))
        heard = np.frombuffer(file.readframes(16000), "<i2")
    assert abs(int(np.abs(heard.astype(int)).max()) - 29490) < 3  # made loud
    assert np.corrcoef(heard, sound)[0, 1] > 0.99


def test_a_recording_is_scored(monitor):
    sound = machine.with_tone(machine.hum(2.0, seed=3), start=1.2, end=1.6, hertz=3000)
    status, _, body = ask(monitor, "score?name=a%3Cb%3E.wav", wav(sound))
    answer = json.loads(body)
    assert status == 200 and answer["name"] == "a<b>.wav"
    assert [clip["decision"] for clip in answer["clips"]] == [0, 1]
    found = answer["clips"][1]
    assert found["path"] == "a<b>.wav#t=1,2" and found["departs_from_s"] == pytest.approx(
        1.2, abs=0.1
    )
    assert np.shape(found["columns"]) == (11, MELS)


@pytest.mark.parametrize("data", [b"RIFF\x00\x00", b"hello", wav(machine.hum())[:20]])
def test_a_corrupt_recording_is_refused_politely(monitor, data):
    status, _, body = ask(monitor, "score?name=bad.wav", data)
    sentence = json.loads(body)["error"]
    assert status == 422 and sentence.startswith("bad.wav can't be scored: ")
    assert "/tmp" not in sentence and "Traceback" not in sentence
    assert ask(monitor, "score?name=good.wav", wav(machine.hum()))[0] == 200


def raw(monitor, text, *, cut_off=False):
    """Sends a request as it is written, and nothing after it; the answer's first line."""
    with socket.create_connection(("127.0.0.1", monitor.server_port), timeout=20) as connection:
        connection.sendall(text.replace("\n", "\r\n").encode())
        if cut_off:
            connection.shutdown(socket.SHUT_WR)
        answer = http.client.HTTPResponse(connection)
        answer.begin()
        return answer.status, json.loads(answer.read())["error"]


def test_what_is_too_large_is_refused_before_it_is_read(monitor):
    host = f"127.0.0.1:{monitor.server_port}"
    head = f"POST /score HTTP/1.1\nHost: {host}\n"
    status, said = raw(monitor, f"{head}Content-Length: {1 << 30}\n\n")  # not a byte of it is sent
    assert status == 413 and "1 MB is the most" in said
    assert raw(monitor, f"{head}\n")[0] == 411
    assert raw(monitor, f"{head}Content-Length: -5\n\n")[0] == 411
    assert raw(monitor, f"{head}Content-Length: 0\n\n")[0] == 422
    status, said = raw(monitor, f"{head}Content-Length: 99\n\nRIFF", cut_off=True)
    assert status == 400 and "did not arrive whole" in said


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:{port}", "127.0.0.1:1", "", "10.0.0.7:{port}"]
)
def test_other_names_are_refused(monitor, host):
    host = host.format(port=monitor.server_port)
    assert ask(monitor, "state", Host=host)[0] == 403
    assert ask(monitor, "score", wav(machine.hum()), Host=host)[0] == 403


def test_its_own_names_are_answered(monitor):
    for name in ("localhost", "127.0.0.1", "[::1]"):
        assert ask(monitor, "about", Host=f"{name}:{monitor.server_port}")[0] == 200


def test_another_page_cannot_send(monitor):
    good = wav(machine.hum())
    own = monitor.address.rstrip("/")
    assert ask(monitor, "score", good, Origin=own)[0] == 200
    for headers in (
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": own.replace("127.0.0.1", "localhost")},
        {"Sec-Fetch-Site": "cross-site"},
    ):
        status, _, body = ask(monitor, "score", good, **headers)
        assert status == 403 and b"Another page" in body


@pytest.mark.parametrize("path", ["nothing", "alarms/1.wav", "alarms/..%2f1.wav", "../server.py"])
def test_there_is_nothing_else(monitor, path):
    assert ask(monitor, path)[0] == 404


def test_a_taken_port_is_named(monitor, clip_scorer):
    with pytest.raises(UserError, match=f"--port={monitor.server_port}"):
        Monitor(clip_scorer, Board(machine.RATE), port=monitor.server_port)


@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        (MemoryError(), 422, "the memory is too small"),
        (ValueError("negative dimensions"), 422, "it is damaged"),
        (RuntimeError("a decoder\nstumbles"), 422, "it is damaged"),
        (OSError(errno.ENOSPC, "No space"), 507, "the disk is full"),
        (UnreadableError("x", "it is bad"), 422, "it is bad"),
    ],
)
def test_every_recording_gets_an_answer(monitor, monkeypatch, error, status, said):
    def fails(*arguments):
        raise error

    monkeypatch.setattr(server, "read_pieces", fails)
    found, _, body = ask(monitor, "score?name=a.wav", b"forged")
    assert found == status and said in json.loads(body)["error"]
    monkeypatch.undo()
    assert ask(monitor, "about")[0] == 200


def test_a_long_recording_is_judged_to_its_end(monitor):
    sound = machine.with_tone(machine.hum(25.0), start=24, end=25, hertz=2500, height=4000)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("asd_jax.live.server._CLIPS", 3)
        status, _, body = ask(monitor, "score?name=a.wav", wav(sound))
    answer = json.loads(body)
    assert status == 200 and answer["judged"] == 25 and answer["left_out"] == 22
    assert answer["anomalous"] >= 1
    starts = [clip["from_s"] for clip in answer["clips"]]
    assert len(starts) == 3 and starts == sorted(starts) and starts[-1] == 24.0


def test_silence_that_is_sent_is_not_judged(monitor):
    status, _, body = ask(monitor, "score?name=a.wav", wav(np.zeros(machine.RATE, np.int16)))
    (clip,) = json.loads(body)["clips"]
    assert status == 200 and clip["score"] is None and clip["decision"] == -1
    assert clip["quality"] == "silent" and json.loads(body)["anomalous"] == 0


def test_a_recording_that_is_cut_off_is_judged_as_far_as_it_goes(monitor):
    status, _, body = ask(monitor, "score?name=a.wav", wav(machine.hum(3.0))[:64044])
    clips = json.loads(body)["clips"]
    assert status == 200 and len(clips) == 2 and {c["quality"] for c in clips} == {"cut_off"}
