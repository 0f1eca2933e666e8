"""Beyond this machine only with a token; the examples of how it is run as a service."""

import configparser
import http.client
import json
import pathlib
import shlex
import shutil
import ssl
import subprocess
import threading

import pytest

from asd_jax.errors import UserError
from asd_jax.live.access import Access
from asd_jax.live.board import Board
from asd_jax.live.server import Monitor
from tests.live import machine

TOKEN = "0123456789abcdef"
DEPLOY = pathlib.Path(__file__).parents[2] / "launch" / "monitor"


def ask(server, path, method="GET", context=None, **headers):
    """(status, headers, body)."""
    if context:
        made = http.client.HTTPSConnection("127.0.0.1", server.server_port, context=context)
    else:
        made = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=20)
    made.request(method, path, headers=headers)
    answer = made.getresponse()
    return answer.status, answer.headers, answer.read()


@pytest.fixture
def open_monitor(clip_scorer):
    server = Monitor(
        clip_scorer, Board(machine.RATE), host="0.0.0.0", access=Access(TOKEN, behind_proxy=True)
    )
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("host", ["0.0.0.0", "", "::", "192.168.1.7", "plant-pc"])
def test_others_are_refused_without_a_token(clip_scorer, host):
    with pytest.raises(UserError, match="give a token"):
        Monitor(clip_scorer, Board(machine.RATE), host=host)


def test_a_token_never_crosses_the_network_in_the_open(clip_scorer):
    with pytest.raises(UserError, match="in the open: give --certificate=FILE") as refused:
        Monitor(clip_scorer, Board(machine.RATE), host="0.0.0.0", access=Access(TOKEN))
    assert "--behind_proxy" in str(refused.value) and "\n" not in str(refused.value)
    with pytest.raises(UserError, match="give a token"):  # TLS alone lets everyone in
        Access("", "c.pem", behind_proxy=True).check("plant-pc")
    for access in (Access(TOKEN, "c.pem"), Access(TOKEN, behind_proxy=True)):
        access.check("plant-pc")
    for host in ("127.0.0.1", "::1", "localhost"):
        Access().check(host)


@pytest.mark.parametrize("token", ["short", "x" * 15, "with a space in its middle", "a;b" * 9])
def test_a_weak_token_is_refused(token):
    with pytest.raises(UserError, match="16 letters and digits"):
        Access(token)


def test_nothing_is_told_without_the_token(open_monitor):
    for path in ("/", "/state", "/about", "/metrics", "/trend", "/alarms/1.wav", "/monitor.js"):
        assert ask(open_monitor, path)[0] == 401, path
        wrong = {"Authorization": "Bearer fedcba9876543210", "Cookie": "asd_jax_token=x"}
        assert ask(open_monitor, path, **wrong)[0] == 401, path
    for path in ("/score", "/alarms/1/fine"):
        assert ask(open_monitor, path, "POST")[0] == 401, path
    assert ask(open_monitor, "/?token=wrong")[0] == 401
    status, _, body = ask(open_monitor, "/health")
    assert status == 200 and json.loads(body) == {"status": "ok"}


def test_the_token_opens_it_by_address_cookie_or_header(open_monitor):
    status, headers, _ = ask(open_monitor, f"/?token={TOKEN}")
    assert status == 303 and headers["Location"] == "/"
    cookie = headers["Set-Cookie"]
    assert "HttpOnly" in cookie and "SameSite=Strict" in cookie
    assert ask(open_monitor, "/", Cookie=f"other=1; {cookie.partition(';')[0]}")[0] == 200
    named = {"Authorization": f"Bearer {TOKEN}", "Host": "plant-pc:8765"}
    assert ask(open_monitor, "/metrics", **named)[0] == 200
    foreign = {"Authorization": f"Bearer {TOKEN}", "Origin": "http://evil.example"}
    assert ask(open_monitor, "/score", "POST", **foreign)[0] == 403


def test_tls(clip_scorer, tmp_path):
    if not shutil.which("openssl"):
        pytest.skip("no openssl to make a certificate with")
    certificate, key = str(tmp_path / "c.pem"), str(tmp_path / "k.pem")
    command = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost"
    command = [*command.split(), "-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run([*command, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    access = Access(TOKEN, certificate, key)
    server = Monitor(clip_scorer, Board(machine.RATE), access=access)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    silent = http.client.HTTPConnection("127.0.0.1", server.server_port)
    silent.connect()  # and says nothing
    context = ssl.create_default_context(cafile=certificate)
    status, headers, _ = ask(server, f"/?token={TOKEN}", context=context)
    assert status == 303 and "Secure" in headers["Set-Cookie"]
    assert server.address.startswith("https://")
    own = {"Authorization": f"Bearer {TOKEN}", "Origin": server.address.rstrip("/")}
    assert ask(server, "/score", "POST", context, **own)[0] == 422  # an empty file, but let in
    server.shutdown()
    server.server_close()
    with pytest.raises(UserError, match="--certificate"):
        Monitor(clip_scorer, Board(machine.RATE), access=Access("", key, certificate))


def test_the_service_and_the_container_run_the_command_as_it_is():
    from absl import flags

    import asd_jax.monitor

    unit = configparser.ConfigParser(strict=False)
    unit.optionxform = str
    unit.read(DEPLOY / "asd-jax-monitor.service")
    assert unit["Service"]["Restart"] == "always"
    words = shlex.split(unit["Service"]["ExecStart"])
    container = (DEPLOY / "Containerfile").read_text()
    lines = [line for line in container.splitlines() if line.startswith(("ENTRYPOINT", "CMD"))]
    inside = [word for line in lines for word in json.loads(line.partition(" ")[2])]
    assert words[1] == inside[1] == "monitor" and words[0].endswith("/asd-jax")
    assert asd_jax.monitor.main
    for word in words[2:] + inside[2:]:
        name = word.removeprefix("--").partition("=")[0]
        assert word.startswith("--") and name in flags.FLAGS, word


def test_systemd_reads_the_unit(tmp_path):
    if not shutil.which("systemd-analyze"):
        pytest.skip("no systemd on this machine")
    text = (
        (DEPLOY / "asd-jax-monitor.service")
        .read_text()
        .replace("/opt/asd-jax/bin/asd-jax", "/bin/true")
    )
    (tmp_path / "m.service").write_text(text)
    run = subprocess.run(
        ["systemd-analyze", "verify", str(tmp_path / "m.service")], capture_output=True, text=True
    )
    assert "m.service:" not in run.stderr, run.stderr
