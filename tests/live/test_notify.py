"""Alarms that leave the page, received by real servers on this machine."""

import http.server
import json
import shutil
import socket
import socketserver
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request

import pytest

from asd_jax.errors import UserError
from asd_jax.live import notify
from asd_jax.live.board import Board
from asd_jax.live.notify import Command, Mail, Notifier, Webhook, of_row
from asd_jax.live.server import Monitor
from tests.live import machine

ROW = {"machine_type": "hum", "machine_id": "a", "path": "x.wav", "score": 3.0, "threshold": 2.0}
ROW |= {"percentile": 100.0, "decision": 1, "quality": "", "alarm": True}
ROW |= {"alarm_changed": "raised", "time": "2026-11-30T14:03:22+00:00"}
MOSQUITTO = shutil.which("mosquitto") or shutil.which("/usr/sbin/mosquitto")


def within(seconds, ready):
    """Waits until `ready()` is true; what it gave."""
    end = time.monotonic() + seconds
    while not (found := ready()):
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.05)
    return found


@pytest.fixture
def receiver():
    """A small HTTP server: its address, what it got, and the answers that it gives first."""
    got, answers = [], []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            got.append((self.headers["Content-Type"], json.loads(body)))
            self.send_response(answers.pop(0) if answers else 200)
            self.end_headers()

        def log_message(self, *arguments):
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/hook", got, answers
    server.shutdown()
    server.server_close()


def test_a_webhook_gets_alarms_and_is_tried_again(receiver, monkeypatch):
    url, got, answers = receiver
    monkeypatch.setattr(notify, "WAITS", (0.0, 0.1))
    failed = []
    notifier = Notifier([Webhook(url)], failed.append)
    answers.append(500)
    notifier.tell(of_row(ROW | {"alarm_changed": ""}, machine.GROUPS))  # only a score
    notifier.tell(of_row(ROW, machine.GROUPS))
    within(20, lambda: len(got) == 2)
    kind, event = got[1]
    assert kind == "application/json" and event == got[0][1] and not failed
    assert event["event"] == "alarm" and event["machine"] == "hum a" and event["score"] == 3.0
    assert event["time"] == ROW["time"] and "does not sound healthy" in event["text"]
    answers += [500, 500]
    notifier.tell(of_row(ROW, machine.GROUPS))
    within(20, lambda: failed)
    assert "The webhook did not take a message" in failed[0]
    notifier.tell(of_row(ROW | {"alarm_changed": "cleared"}, machine.GROUPS))  # it goes on
    within(20, lambda: got[-1][1]["event"] == "cleared")


def test_a_command_gets_the_event(tmp_path):
    out = tmp_path / "it's here"
    program = (
        "import os, sys; open(sys.argv[1], 'w').write(os.environ['ASD_EVENT'] + sys.stdin.read())"
    )
    command = Command(f'{sys.executable} -c "{program}" "{out}"')
    command.send(of_row(ROW | {"path": "$(touch hacked)"}, machine.GROUPS))
    kind, _, rest = out.read_text().partition("{")
    assert kind == "alarm" and json.loads("{" + rest)["path"] == "$(touch hacked)"
    with pytest.raises(subprocess.CalledProcessError):
        Command("false").send(of_row(ROW, machine.GROUPS))


class _Mailbox(socketserver.StreamRequestHandler):
    """As much of SMTP (RFC 5321) as takes a message."""

    def handle(self):
        self.wfile.write(b"220 here\r\n")
        while line := self.rfile.readline():
            word = line[:4].upper()
            if word == b"DATA":
                self.wfile.write(b"354 go on\r\n")
                lines = iter(self.rfile.readline, b".\r\n")
                self.server.got.append(b"".join(lines).decode())
            self.wfile.write(b"221 bye\r\n" if word == b"QUIT" else b"250 ok\r\n")


def test_mail_arrives():
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), _Mailbox) as server:
        server.got = []
        threading.Thread(target=server.serve_forever, daemon=True).start()
        port = server.server_address[1]
        mail = Mail(
            f"smtp://127.0.0.1:{port}/?to=a@example.org&to=b@example.org&from=m@example.org"
        )
        mail.send(of_row(ROW, machine.GROUPS) | {"text": "Alarm\nBcc: evil@example.org"})
        server.shutdown()
    (text,) = server.got
    assert "Subject: Alarm Bcc: evil@example.org" in text and "From: m@example.org" in text
    assert "To: a@example.org, b@example.org" in text and "machine: hum a" in text


def test_a_password_is_not_sent_in_the_open(monkeypatch):
    monkeypatch.setenv("ASD_JAX_SMTP_PASSWORD", "secret")
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), _Mailbox) as server:
        server.got = []
        threading.Thread(target=server.serve_forever, daemon=True).start()
        mail = Mail(f"smtp://me@127.0.0.1:{server.server_address[1]}/?to=a@example.org")
        with pytest.raises(Exception, match="STARTTLS"):
            mail.send(of_row(ROW, machine.GROUPS))
        server.shutdown()
    assert not server.got


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Webhook("example.org"), "--webhook=example.org"),
        (lambda: Command("'"), "--on_alarm"),
        (lambda: Command(""), "--on_alarm is empty"),
        (lambda: Mail("smtp://host"), "--email=smtp://host"),
        (lambda: Mail("host?to=a@b"), "--email="),
    ],
)
def test_what_cant_be_sent_to_is_refused(make, said):
    with pytest.raises(UserError, match=said):
        make()


def test_health_and_metrics(clip_scorer):
    board = Board(machine.RATE)
    server = Monitor(clip_scorer, board, source="a folder")
    threading.Thread(target=server.serve_forever, daemon=True).start()

    def ask(path):
        try:
            with urllib.request.urlopen(server.address + path, timeout=20) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    assert ask("health")[0] == 200
    for changed in ("", "raised"):
        board.score(ROW | {"alarm_changed": changed, "machine_id": 'a"\n'}, machine.hum())
    status, text = ask("metrics")
    label = '{machine_type="hum",machine_id="a\\"\\n"}'
    lines = text.splitlines()
    assert status == 200 and "asd_jax_listening 1" in lines
    for line in ("clips_total%s 2.0", "anomalous_total%s 2.0", "alarms_total%s 1.0", "score%s 3.0"):
        assert "asd_jax_" + line % label in lines
    board.note("No sound is coming any more.", paused=True)
    status, text = ask("health")
    assert status == 503 and json.loads(text)["why"] == "No sound is coming any more."
    assert "asd_jax_listening 0" in ask("metrics")[1]
    server.shutdown()
    server.server_close()


@pytest.fixture
def broker(tmp_path):
    """A mosquitto on a free port, that port, and the paho module."""
    paho = pytest.importorskip("paho.mqtt.client", reason="paho-mqtt is not installed")
    if not MOSQUITTO:
        pytest.skip("no mosquitto on this machine")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    settings = tmp_path / "mosquitto.conf"
    settings.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\n")
    run = subprocess.Popen([MOSQUITTO, "-c", str(settings)], stderr=subprocess.DEVNULL)

    def up():
        with socket.socket() as knock:
            return knock.connect_ex(("127.0.0.1", port)) == 0

    within(20, up)
    yield port, paho
    run.kill()
    run.wait()


def listen(broker):
    """What a subscriber to everything got, by topic; the last of each."""
    port, paho = broker
    got, client = {}, paho.Client(paho.CallbackAPIVersion.VERSION2)
    client.seen = []

    def came(c, u, message):
        got[message.topic] = message.payload.decode()
        client.seen.append((message.topic, got[message.topic]))

    client.on_message = came
    client.on_connect = lambda c, *_: c.subscribe("#")
    client.connect("127.0.0.1", port)
    client.loop_start()
    return got, client


def test_home_assistant_finds_it_by_mqtt(broker):
    from asd_jax.live.mqtt import Mqtt

    got, client = listen(broker)
    channel = Mqtt(f"mqtt://127.0.0.1:{broker[0]}/plant/hall-1", ["hum a"])
    topic = "plant/hall-1/hum_a/state"
    about = json.loads(
        within(20, lambda: got.get("homeassistant/binary_sensor/plant_hall-1/hum_a/config"))
    )
    assert about["state_topic"] == topic and about["device_class"] == "problem"
    assert about["availability_topic"] == "plant/hall-1/availability"
    assert within(20, lambda: got.get("plant/hall-1/availability")) == "online"
    assert within(20, lambda: got.get("plant/hall-1/sound")) == "OFF"
    notifier = Notifier([channel])
    notifier.tell(of_row(ROW, machine.GROUPS))
    assert json.loads(within(20, lambda: got.get(topic)))["alarm"] == "ON"
    assert json.loads(within(20, lambda: got.get("plant/hall-1/event")))["event"] == "alarm"
    notifier.tell(of_row(ROW | {"alarm": False, "alarm_changed": ""}, machine.GROUPS))
    within(20, lambda: json.loads(got[topic])["alarm"] == "OFF")
    assert got["plant/hall-1/sound"] == "ON"
    notifier.tell({"event": "no_sound", "time": ROW["time"], "text": "No sound."})
    within(20, lambda: got["plant/hall-1/sound"] == "OFF")
    late, other = listen(broker)  # who comes later finds the states, for they are retained
    within(20, lambda: topic in late and "plant/hall-1/sound" in late)
    channel._client.socket().shutdown(socket.SHUT_RDWR)  # it is cut off: the broker says so
    within(20, lambda: ("plant/hall-1/availability", "offline") in client.seen)
    within(20, lambda: got["plant/hall-1/availability"] == "online")
    channel.close()
    within(20, lambda: got["plant/hall-1/availability"] == "offline")
    for each in (client, other):
        each.loop_stop()


def test_thingsboard_gets_flat_telemetry(broker):
    from asd_jax.live.mqtt import THINGSBOARD, Mqtt

    got, client = listen(broker)
    channel = Mqtt(f"mqtt://TOKEN@127.0.0.1:{broker[0]}/{THINGSBOARD}", ["hum a"])
    within(20, channel._client.is_connected)
    channel.send(of_row(ROW, machine.GROUPS))
    event = json.loads(within(20, lambda: got.get(THINGSBOARD)))
    assert event["score"] == 3.0 and not any(isinstance(v, dict | list) for v in event.values())
    assert list(got) == [THINGSBOARD]
    channel.close()
    client.loop_stop()


def test_a_broker_that_is_away_is_told(monkeypatch):
    pytest.importorskip("paho.mqtt.client", reason="paho-mqtt is not installed")
    from asd_jax.live.mqtt import Mqtt

    monkeypatch.setattr(notify, "WAITS", (0.0,))
    failed = []
    channel = Mqtt("mqtt://127.0.0.1:1", ["hum a"])
    Notifier([channel], failed.append).tell(of_row(ROW, machine.GROUPS))
    within(20, lambda: failed)
    assert "no connection" in failed[0]
    with pytest.raises(UserError, match="--mqtt=host"):
        Mqtt("host", [])
