"""The microphone of a real browser, fed by its own test tone, through recorder.js."""

import base64
import http.server
import io
import pathlib
import shutil
import subprocess
import threading

import numpy as np
import pytest
import soundfile

import asd_jax.notebook

SCRIPT = pathlib.Path(asd_jax.notebook.__file__).parent / "recorder.js"
CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), ""
)
PAGE = """<!DOCTYPE html><html><body><script>{script}
recordWav(1.5, "take").then((answer) => fetch("/", {{method: "POST", body: answer}}));
</script></body></html>"""


@pytest.mark.skipif(not CHROMIUM, reason="no Chromium here")
@pytest.mark.parametrize("allowed", [True, False], ids=["allowed", "refused"])
def test_a_browser_records_a_wav(tmp_path, allowed):
    answers, come = [], threading.Event()

    class Handler(http.server.BaseHTTPRequestHandler):
        def log_message(self, *_):
            pass

        def do_GET(self):
            self._send(PAGE.format(script=SCRIPT.read_text(encoding="utf-8")).encode())

        def do_POST(self):
            answers.append(self.rfile.read(int(self.headers["Content-Length"])).decode())
            self._send(b"")
            come.set()

        def _send(self, body):
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    line = [
        CHROMIUM,
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--remote-debugging-port=0",
    ]
    line += [f"--user-data-dir={tmp_path}", "--autoplay-policy=no-user-gesture-required"]
    line += ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"] * allowed
    line += ["--deny-permission-prompts"] * (not allowed)
    browser = subprocess.Popen(
        [*line, f"http://127.0.0.1:{server.server_address[1]}/"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        assert come.wait(60), "nothing came from the browser"
    finally:
        browser.terminate()
        browser.wait(20)
        server.shutdown()
        server.server_close()
    if not allowed:
        assert answers[0].startswith("error:")
        return
    sound, rate = soundfile.read(io.BytesIO(base64.b64decode(answers[0])), dtype="int16")
    assert sound.shape == (round(1.5 * rate),)
    assert np.abs(sound).max() > 100  # Chromium's fake microphone beeps, now and then
