"""What a server's answer means for a download: go on, wait and try again, or give up."""

import contextlib
import dataclasses
import datetime
import email.utils
import http.client
import re
import time
from collections.abc import Callable, Iterator
from typing import Any

from asd_jax.errors import UserError, detail

_SPAN = re.compile(r"bytes ([0-9]{1,18})-([0-9]{1,18})/([0-9]{1,18}|\*)")


@dataclasses.dataclass(frozen=True)
class Patience:
    """Timeouts in seconds, and the number of attempts."""

    connect: float = 20.0
    read: float = 60.0  # without a byte
    attempts: int = 8  # in a row without a new byte
    first_wait: float = 1.0  # doubles with each of them
    longest_wait: float = 60.0
    longest_asked: float = 900.0  # that a server may ask for
    sleep: Callable[[float], None] = time.sleep


class TroubleError(Exception):
    """A failure that may pass by itself; the server asks to `wait` so many seconds."""

    def __init__(self, reason: str, wait: float | None = None):
        super().__init__(reason)
        self.wait = wait


def headers(begin: int = 0) -> dict[str, str]:
    """Returns the headers of a request for a file from byte `begin` on."""
    # Compressed on the way, a file would have another length.
    common = {"User-Agent": "asd_jax", "Accept-Encoding": "identity"}
    return {**common, "Range": f"bytes={begin}-"} if begin else common


@contextlib.contextmanager
def answering(url: str, **options: Any) -> Iterator[Any]:
    """Calls `requests.get`, with one sentence for where a server may not lead.

    Raises:
        UserError: it redirects to no address, in a circle, or from https to http.
        requests.RequestException: what may pass by itself.
    """
    import requests
    import urllib3

    try:
        with requests.get(url, **options) as response:
            if url.startswith("https:") and not response.url.startswith("https:"):
                raise UserError(f"{url} leads to the unencrypted {response.url}; try later.")
            yield response
    except (requests.TooManyRedirects, requests.exceptions.InvalidSchema) as error:
        raise _misled(url, error) from error
    except (ValueError, http.client.HTTPException, urllib3.exceptions.HTTPError) as error:
        if isinstance(error, requests.RequestException) and not isinstance(
            error, requests.exceptions.InvalidURL
        ):
            raise
        raise _misled(url, error) from error


def _misled(url: str, error: Exception) -> UserError:
    return UserError(f"{url} leads nowhere ({detail(error)}); try later, or another --mirror.")


def refuse(url: str, response: Any, patience: Patience) -> None:
    """Passes over an answer that brings the file.

    Raises:
        TroubleError: it may bring it later.
        UserError: it won't.
    """
    status = response.status_code
    if status in (401, 403):
        raise UserError(f"{url} is refused by the server ({status}); try later, or a --mirror.")
    if status in (404, 410):
        raise UserError(f"{url} is not there ({status}); check --mirror, or the record's page.")
    if status in (408, 425, 429) or status >= 500:
        wait = _asked_wait(response.headers)
        if wait is not None and wait > patience.longest_asked:
            raise UserError(
                f"{url}: the server asks to wait {wait:.0f} s ({status}); what came so far is "
                "kept, and the same command goes on from there."
            )
        raise TroubleError(f"the server answers {status}", wait)
    if status not in (200, 206):
        raise UserError(f"{url}: the server answers {status}, which is not a download.")


def _asked_wait(headers: Any) -> float | None:
    """Seconds of Retry-After (a number or a date), or until X-RateLimit-Reset."""
    text = headers.get("Retry-After", "").strip()
    if re.fullmatch(r"[0-9]{1,18}", text):
        return float(text)
    now = datetime.datetime.now(datetime.UTC)
    with contextlib.suppress(ValueError, TypeError, OverflowError):
        until = email.utils.parsedate_to_datetime(text)
        return max(0.0, (until - now).total_seconds())
    reset = headers.get("X-RateLimit-Reset", "")
    known = re.fullmatch(r"[0-9]{1,18}", reset)
    return max(0.0, float(reset) - now.timestamp()) if known else None


def span(response: Any, begin: int) -> tuple[int, int]:
    """Returns (first byte, length of the whole file or 0); status 200 starts at byte 0.

    Raises:
        TroubleError: the server sends another range than was asked for.
    """
    length = response.headers.get("Content-Length", "")
    length = int(length) if re.fullmatch(r"[0-9]{1,18}", length) else 0
    if response.status_code == 200:
        return 0, length
    match = re.fullmatch(_SPAN, response.headers.get("Content-Range", ""))
    if not match or int(match[1]) > begin:
        raise TroubleError("the server sends another range than was asked for")
    return int(match[1]), int(match[2]) + 1 if match[3] == "*" else int(match[3])


def reason(error: Exception) -> str:
    """Explains a failed request to the user."""
    import requests

    if isinstance(error, requests.Timeout) or "timed out" in str(error):
        return "the server stalls"
    if isinstance(error, requests.exceptions.ChunkedEncodingError):
        return "the connection breaks off"
    if isinstance(error, requests.ConnectionError):
        return "the server is out of reach"
    return f"the request fails ({type(error).__name__})"
