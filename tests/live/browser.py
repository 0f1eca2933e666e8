"""Headless Chromium by its DevTools pipe: nothing to install beside the browser itself."""

import base64
import contextlib
import itertools
import json
import os
import shutil
import subprocess
import time

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def found() -> str | None:
    """The browser's path, or None."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


class Page:
    """One tab."""

    def __init__(self, reader, writer):
        self._reader, self._writer = reader, writer
        self._numbers, self._session = itertools.count(1), None
        self.errors: list[str] = []
        target = self.do("Target.createTarget", url="about:blank")["targetId"]
        attached = self.do("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "DOM", "Log"):
            self.do(f"{domain}.enable")

    def do(self, method: str, **parameters):
        """Sends one command and returns its result; errors of the page are gathered."""
        number = next(self._numbers)
        message = {"id": number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        self._writer.write(json.dumps(message).encode() + b"\0")
        self._writer.flush()
        while True:
            answer = json.loads(self._message())
            if answer.get("method") == "Runtime.exceptionThrown":
                self.errors.append(json.dumps(answer["params"]))
            if answer.get("method") == "Log.entryAdded":
                self.errors.append(answer["params"]["entry"]["text"])
            if answer.get("id") == number:
                assert "error" not in answer, answer
                return answer["result"]

    def _message(self) -> bytes:
        parts = bytearray()
        while (byte := self._reader.read(1)) not in (b"\0", b""):
            parts += byte
        assert byte, "the browser ended"
        return bytes(parts)

    def value(self, expression: str):
        """What a JavaScript expression gives."""
        result = self.do("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")

    def until(self, expression: str, seconds: float = 30.0):
        """Waits until an expression is true; on a page that still loads it may raise."""
        end = time.monotonic() + seconds
        while True:
            answer = self.do("Runtime.evaluate", expression=expression, returnByValue=True)
            if value := answer["result"].get("value"):
                return value
            assert time.monotonic() < end, (expression, answer, self.errors)
            time.sleep(0.1)

    def press(self, key: str, code: int) -> None:
        """Presses a key."""
        text = {"text": "\r"} if key == "Enter" else {}
        key = {"key": key, "code": key, "windowsVirtualKeyCode": code}
        self.do("Input.dispatchKeyEvent", type="keyDown", **key, **text)
        self.do("Input.dispatchKeyEvent", type="keyUp", **key)

    def size(self, width: int, height: int, *, dark: bool = False) -> None:
        """A screen of this size, light or dark."""
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        self.do("Emulation.setDeviceMetricsOverride", **metrics)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.do("Emulation.setEmulatedMedia", features=[scheme])

    def picture(self, path: str) -> None:
        """Saves the screen as PNG."""
        with open(path, "wb") as file:
            file.write(base64.b64decode(self.do("Page.captureScreenshot")["data"]))


@contextlib.contextmanager
def page(folder: str):
    """A tab of a browser that keeps its profile in `folder`."""
    (theirs_in, ours_out), (ours_in, theirs_out) = os.pipe(), os.pipe()
    command = [found(), "--headless", "--no-sandbox", "--disable-gpu", "--remote-debugging-pipe"]
    command += [f"--user-data-dir={folder}", "--no-first-run", "about:blank"]
    shell = f'exec "$@" 3<&{theirs_in} 4>&{theirs_out}'
    process = subprocess.Popen(
        ["bash", "-c", shell, "bash", *command],
        pass_fds=(theirs_in, theirs_out),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(theirs_in)
    os.close(theirs_out)
    with open(ours_in, "rb") as reader, open(ours_out, "wb") as writer:
        tab = Page(reader, writer)
        try:
            yield tab
        finally:
            tab._session = None
            with contextlib.suppress(Exception):
                tab.do("Browser.close")
            process.wait(20)
