"""The monitor's web server: a page, its state, alarms to hear, recordings to score.

It belongs to one user on one machine. A page from elsewhere can't reach it through that user's
browser: requests must name this host (else a name that was rebound to 127.0.0.1 would do), and
what is sent must come from the monitor's own page.
"""

import http.server
import importlib.resources
import ipaddress
import itertools
import json
import os
import re
import socket
import tempfile
import threading
import urllib.parse
from collections.abc import Sequence
from typing import Any

import numpy as np
from absl import logging

from asd_jax.data import foreign
from asd_jax.data.decode import UnreadableError
from asd_jax.errors import UserError
from asd_jax.features import host
from asd_jax.files import plain, why
from asd_jax.live import board as boards
from asd_jax.live.access import Access
from asd_jax.live.board import Board, Place
from asd_jax.live.healthy import Healthy
from asd_jax.live.recordings import BATCH, ClipScorer, Piece, Row, read_pieces
from asd_jax.naming import machine_names

LIMIT = 200 * 2**20  # bytes of an uploaded recording
_BLOCK = 1 << 20
_CLIPS = 60  # of an uploaded recording that are sent back: the most anomalous
_ASSETS = {
    "/": ("monitor.html", "text/html; charset=utf-8"),
    "/monitor.css": ("monitor.css", "text/css; charset=utf-8"),
    "/monitor.js": ("monitor.js", "text/javascript; charset=utf-8"),
}
_HEADERS = {
    "Content-Security-Policy": "default-src 'self'; media-src 'self' blob:; img-src 'self' data:; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


class Monitor(http.server.ThreadingHTTPServer):
    """Serves one clip_scorer and its board."""

    daemon_threads = True

    def __init__(
        self,
        clip_scorer: ClipScorer,
        board: Board,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        source: str = "",
        limit: int = LIMIT,
        healthy: Healthy | None = None,
        access: Access | None = None,
        places: Sequence[Place] = (),
    ):
        """Listens at once; requests are served by `serve_forever`.

        Args:
            clip_scorer: scores what is sent.
            board: is shown.
            host: of this machine, to listen on.
            port: the same; 0 takes a free one.
            source: where the sound comes from, in words; '' if nothing is listened to.
            limit: bytes of an uploaded recording.
            healthy: takes the answers to alarms; None: there are none.
            access: who may see it; None: whoever is on this machine.
            places: where there are several on the page; the board is the first one's.

        Raises:
            UserError: the port is taken, the host is none of this machine, or it would be open to
                others without a token.
        """
        self.access = access or Access()
        self.access.check(host)
        try:
            super().__init__((host, port), _Handler)
        except (OSError, OverflowError) as error:
            raise UserError(f"--host={host} --port={port}: {error}; choose another.") from error
        self.access.wrap(self)
        self.clip_scorer, self.board, self.limit = clip_scorer, board, limit
        self.host, self.healthy, self.places = host, healthy, tuple(places)
        self.scoring = threading.Lock()  # one recording at a time: the processor is the same
        detector = clip_scorer.detector
        names = machine_names(detector.groups)
        self.about = {
            "source": source,
            "machines": names,
            "machine": names[detector.groups.index(clip_scorer.machine)]
            if clip_scorer.machine
            else "",
            "groups": detector.groups,  # (type, ID) of each of `machines`, as rows have them
            "clip_s": detector.samples / board.sample_rate,
            "limit": limit,
            "places": [{"name": place.name, "source": place.source} for place in places],
            "frequencies": boards.frequencies(board.sample_rate),
            "columns_a_second": boards.COLUMNS_A_SECOND,
        }

    @property
    def address(self) -> str:
        """The URL of the page."""
        shown = "127.0.0.1" if self.host in ("", "0.0.0.0", "::") else self.host
        return f"{self.access.scheme}://{shown}:{self.server_port}/"

    @property
    def boards(self) -> list[Board]:
        """Those of all places."""
        return [self.board, *(place.board for place in self.places[1:])]

    def health(self) -> dict[str, Any]:
        """Of the place that is worst off: one without sound, else that not judged for longest."""
        found = [board.health() for board in self.boards]
        return max(found, key=lambda one: (one["paused"], -(one["judged"] or 0.0)))

    def knows(self, header: str | None) -> bool:
        """Whether a Host header names this machine and not some rebound name."""
        found = re.fullmatch(r"(\[[0-9a-fA-F:.]+\]|[^:/@\s]+)(?::(\d+))?", header or "")
        if self.access.token:
            return bool(found)  # a rebound name has no cookie of this one's
        if not found or int(found[2] or 80) != self.server_port:
            return False
        name = found[1].strip("[]").lower()
        if name in {"localhost", self.host.lower(), socket.gethostname().lower()}:
            return True
        try:
            address = ipaddress.ip_address(name)
        except ValueError:
            return False
        # Served to others, it is reached by whatever address this machine has there.
        own = str(self.server_address[0])
        return address.is_loopback or not ipaddress.ip_address(own).is_loopback

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A browser that went away is no event."""


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 30  # s without a byte
    # socketserver's stub has the base class alone.
    server: Monitor  # pyright: ignore[reportIncompatibleVariableOverride]

    def do_GET(self) -> None:
        if not self._own() or not self._allowed():
            return
        url = urllib.parse.urlsplit(self.path)
        if url.path in _ASSETS:
            name, kind = _ASSETS[url.path]
            files = importlib.resources.files("asd_jax.live").joinpath("page")
            self._send(200, files.joinpath(name).read_bytes(), kind)
        elif url.path == "/about":
            self._json(200, self.server.about)
        elif url.path == "/health":
            self._say_health(**self.server.health())
        elif url.path == "/metrics":
            health = self.server.health()
            counts = self.server.board.counts
            text = counts.text(listening=not health["paused"], judged=health["judged"])
            self._send(200, text.encode(), "text/plain; version=0.0.4; charset=utf-8")
        elif url.path == "/places":
            self._json(200, [board.brief() for board in self.server.boards])
        elif url.path in ("/trend", "/state"):
            self._of_place(url.path, urllib.parse.parse_qs(url.query))
        elif found := re.fullmatch(r"/alarms/(\d{1,9})\.wav", url.path):
            sound = self.server.board.sound(int(found[1]))
            if sound is None:
                self._refuse(404, "This alarm's sound is no longer kept.")
            else:
                self._send(200, sound, "audio/wav")
        else:
            self._refuse(404, "There is nothing here.")

    def _say_health(self, **more: Any) -> None:
        silent = bool(self.server.about["source"]) and self.server.health()["paused"]
        self._json(503 if silent else 200, {"status": "no sound" if silent else "ok", **more})

    def _of_place(self, path: str, query: dict[str, list[str]]) -> None:
        place = _number(query, "place") if "place" in query else 0
        if not 0 <= place < len(self.server.boards):
            self._refuse(404, "There is no such place.")
        elif path == "/trend":
            self._json(200, self.server.boards[place].history.trend())
        else:
            drawn, version = (_number(query, name) for name in ("drawn", "version"))
            self._json(200, self.server.boards[place].state(drawn, version))

    def do_POST(self) -> None:
        if not self._own() or not self._allowed() or not self._from_own_page():
            return
        url = urllib.parse.urlsplit(self.path)
        if found := re.fullmatch(r"/alarms/(\d{1,9})/(fine|undo)", url.path):
            self._answer(int(found[1]), fine=found[2] == "fine")
            return
        if url.path != "/score":
            self._refuse(404, "There is nothing here.")
            return
        length = self._length()
        if length is None:
            return
        name = urllib.parse.parse_qs(url.query).get("name", ["recording"])[0][:200]
        try:
            with tempfile.TemporaryDirectory() as folder:
                # With the ending of a phone's recording, by which its decoder is chosen.
                ending = foreign.ending(name)
                path = os.path.join(folder, "recording" + ending * (ending in foreign.DEMUXERS))
                # Closed before it is read: Windows opens no file a second time.
                if self._received(path, length):
                    self._score(path, name)
                else:
                    self._refuse(400, "The recording did not arrive whole; send it again.")
        except (ConnectionError, TimeoutError):
            raise  # nobody is there to be answered
        except OSError as error:
            self._refuse(507, f"{name} can't be scored: {why(error, tempfile.gettempdir())}.")
        except Exception as error:  # decoders raise whatever a forged file makes them stumble over
            logging.warning("%s can't be scored: %r", name, error)
            kind = "the memory is too small" if isinstance(error, MemoryError) else "it is damaged"
            self._refuse(422, f"{name} can't be scored: {kind}.")

    def _answer(self, alarm: int, *, fine: bool) -> None:
        self.close_connection = True  # a body, of which none is expected, is left unread
        healthy = self.server.healthy
        try:
            if healthy is None:
                raise UserError("This monitor takes no answers.")
            said = healthy.answer(alarm, fine=fine)
        except UserError as error:
            self._refuse(404, str(error))
            return
        for board in self.server.boards:
            board.touch()
        self._json(200, {"said": said})

    def _received(self, path: str, length: int) -> bool:
        """Writes so many bytes of the request to a file; False where fewer come."""
        with open(path, "wb") as file:
            while length > 0:
                block = self.rfile.read(min(_BLOCK, length))
                if not block:
                    return False
                file.write(block)
                length -= len(block)
        return True

    def _score(self, path: str, name: str) -> None:
        try:
            clips, judged, anomalous = self._judged(path, name)
        except UnreadableError as error:
            self._refuse(422, f"{name} can't be scored: {error.reason.replace(path, name)}.")
            return
        spec = boards.display(self.server.board.sample_rate)
        shown = []
        for row, piece in clips:
            columns = boards.as_bytes(host.level(piece.wave, spec))
            shown.append(row | {"from_s": piece.start, "columns": [list(c) for c in columns]})
        counts = {"anomalous": anomalous, "judged": judged, "left_out": judged - len(shown)}
        self._json(200, {"name": name, "clips": plain(shown), **counts})

    def _judged(self, path: str, name: str) -> tuple[list[tuple[Row, Piece]], int, int]:
        """The most anomalous clips in their order, how many there are, how many are anomalous."""
        clip_scorer = self.server.clip_scorer
        candidates = clip_scorer.candidates(name)
        worst: list[tuple[float, int, Row, Piece]] = []
        judged = anomalous = 0
        pieces = (
            piece._replace(name=name + piece.name.removeprefix(path), candidates=candidates)
            for piece in read_pieces(clip_scorer, path)
        )
        while True:
            with self.server.scoring:  # of a long recording a batch at a time: others wait too
                batch = list(itertools.islice(pieces, BATCH))
                rows = clip_scorer.rows(batch) if batch else []
            if not rows:
                break
            for row, piece in zip(rows, batch, strict=True):
                judged += 1
                anomalous += row["decision"] == 1
                over = np.nan_to_num(row["score"] - np.nan_to_num(row["threshold"]), nan=-np.inf)
                worst.append((-float(over), judged, row, piece))
            worst = sorted(worst, key=lambda entry: entry[:2])[:_CLIPS]
        kept = sorted(worst, key=lambda entry: entry[1])
        return [entry[2:] for entry in kept], judged, anomalous

    def _own(self) -> bool:
        if self.server.knows(self.headers.get("Host")):
            return True
        self._refuse(403, "This monitor answers only to its own address.")
        return False

    def _allowed(self) -> bool:
        """Whether the token was given: in the address once, then by a cookie, or in a header."""
        access, url = self.server.access, urllib.parse.urlsplit(self.path)
        given = urllib.parse.parse_qs(url.query).get("token", [""])[0]
        if access.token and url.path == "/" and access.right(given):
            self._send(303, b"", "text/plain", {"Location": "/", "Set-Cookie": access.cookie()})
            return False
        if access.allows(self.headers.get("Authorization"), self.headers.get("Cookie")):
            return True
        if url.path == "/health":  # for who restarts it: nothing but whether sound comes
            self._say_health()
            return False
        self._refuse(401, "This monitor asks for its token: open its address with ?token=TOKEN.")
        return False

    def _from_own_page(self) -> bool:
        origin, host = self.headers.get("Origin"), self.headers["Host"]
        site = self.headers.get("Sec-Fetch-Site", "same-origin")
        own = (None, f"http://{host}", f"https://{host}")  # the second behind a proxy, too
        if origin in own and site in ("same-origin", "none"):
            return True
        self._refuse(403, "Another page may not send recordings here.")
        return False

    def _length(self) -> int | None:
        """The announced length of the body; None where it was refused, unread."""
        header = self.headers.get("Content-Length", "")
        if not re.fullmatch(r"\d{1,18}", header):
            self._refuse(411, "The length of the recording must be announced.")
        elif int(header) > self.server.limit:
            most = self.server.limit / 2**20
            self._refuse(413, f"The recording is too large: {most:.4g} MB is the most.")
        elif int(header) == 0:
            self._refuse(422, "The file is empty.")
        else:
            return int(header)
        return None

    def _json(self, status: int, value: Any) -> None:
        data = json.dumps(plain(value), allow_nan=False).encode()
        self._send(status, data, "application/json")

    def _refuse(self, status: int, sentence: str) -> None:
        # What was announced is not read, so the connection is of no further use.
        self.close_connection = True
        self._json(status, {"error": sentence})

    def _send(
        self, status: int, data: bytes, kind: str, more: dict[str, str] | None = None
    ) -> None:
        self.send_response(status)
        for name, value in (_HEADERS | (more or {})).items():
            self.send_header(name, value)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *arguments: Any) -> None:
        """Silent: the page asks twice a second."""


def _number(query: dict[str, list[str]], name: str) -> int:
    value = query.get(name, [""])[0]
    return int(value) if re.fullmatch(r"-?\d{1,15}", value) else -1
