"""A server on loopback that behaves as badly as a test asks it to."""

import collections
import contextlib
import http.server
import json
import threading
import time
from collections.abc import Iterator

STALL, CUT, CUT_UNSAID, NO_RANGE, SAYS_MORE, SAYS_LESS, SENDS_MORE = (
    "stall",
    "cut",
    "cut, no length said",
    "no range",
    "says more",
    "says less",
    "sends more",
)


class Server:
    """Serves `files` by path; `moods[path]` are used up one a request, then it behaves."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.moods: dict[str, collections.deque] = collections.defaultdict(collections.deque)
        self.requests: list[tuple[str, str]] = []  # (path, Range)
        self.drip = 0.0  # seconds before each 64 kB
        self.closing = threading.Event()
        handler = type("Handler", (_Handler,), {"owner": self})
        self._http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._http.server_address[1]}"
        threading.Thread(target=self._http.serve_forever, args=(0.05,), daemon=True).start()

    def publish(self, record: int, files: dict[str, tuple[bytes, str]]) -> None:
        """Adds files, and the record's listing with the md5 that is given for each."""
        listing = []
        for name, (content, md5) in files.items():
            self.files[f"/records/{record}/files/{name}"] = content
            listing.append({"key": name, "size": len(content), "checksum": f"md5:{md5}"})
        answer = json.dumps({"id": record, "files": listing}).encode()
        self.files[f"/api/records/{record}"] = answer

    def ranges(self, name: str) -> list[str]:
        """The Range of each request for a file, '' without."""
        return [begin for path, begin in self.requests if path.endswith(name)]

    def close(self) -> None:
        """Lets go of stalled clients and stops."""
        self.closing.set()
        self._http.shutdown()
        self._http.server_close()


class _Handler(http.server.BaseHTTPRequestHandler):
    owner: Server
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        owner, begin = self.owner, self.headers.get("Range", "")
        owner.requests.append((self.path, begin))
        moods = owner.moods[self.path]
        mood = moods.popleft() if moods else ""
        content = owner.files.get(self.path)
        self.close_connection = True
        with contextlib.suppress(ConnectionError):
            if isinstance(mood, int | tuple):
                self._answer(*(mood if isinstance(mood, tuple) else (mood, {})))
            elif content is None:
                self._answer(404, {})
            else:
                self._send(content, 0 if mood == NO_RANGE else _first(begin), mood)

    def _answer(self, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": "0", **headers}.items():
            self.send_header(name, value)
        self.end_headers()

    def _send(self, content: bytes, first: int, mood: str) -> None:
        if first and first >= len(content):
            self._answer(416, {"Content-Range": f"bytes */{len(content)}"})
            return
        body = content[first:]
        length = len(body) + {SAYS_MORE: 1000, SAYS_LESS: -1000}.get(mood, 0)
        self.send_response(206 if first else 200)
        if first:
            span = f"bytes {first}-{len(content) - 1}/{len(content)}"
            self.send_header("Content-Range", span)
        if mood not in (SENDS_MORE, CUT_UNSAID):  # these send until they hang up
            self.send_header("Content-Length", str(length))
        self.end_headers()
        if mood == SENDS_MORE:
            body += bytes(500_000)
        if mood in (STALL, CUT, CUT_UNSAID):
            body = body[: len(body) // 2]
        for k in range(0, len(body), 1 << 16):
            time.sleep(self.owner.drip)
            self.wfile.write(body[k : k + (1 << 16)])
        self.wfile.flush()
        if mood == STALL:
            self.owner.closing.wait(20)


def _first(begin: str) -> int:
    return int(begin.removeprefix("bytes=").removesuffix("-")) if begin else 0


@contextlib.contextmanager
def serving() -> Iterator[Server]:
    """A server for the time of a test."""
    server = Server()
    try:
        yield server
    finally:
        server.close()
