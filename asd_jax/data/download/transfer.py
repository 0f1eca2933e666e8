"""One file from a server to the disk, whatever the line and the server do on the way.

What has come lies beside the target as `<name>.part` until it is whole, so that an interrupted
download goes on where it stopped (HTTP Range), in the same run or in a later one.
"""

import hashlib
import json
import pathlib
import re
import time
from contextlib import AbstractContextManager
from typing import Any

from asd_jax import files
from asd_jax.data.download import responses
from asd_jax.data.download.responses import Patience, TroubleError
from asd_jax.errors import UserError
from asd_jax.files import free_bytes, place
from asd_jax.naming import size_text

CHUNK = 1 << 16  # what a break can lose of what came
MOST_JSON = 16 << 20  # bytes of a listing


def writing(folder: pathlib.Path) -> AbstractContextManager[None]:
    """Turns a disk that is full, or may not be written, into a UserError."""
    return files.writing(folder, "make room there or give another --dir; what is whole is kept")


def part_of(target: pathlib.Path) -> pathlib.Path:
    """Returns the path under which a file lies until it is complete."""
    return target.with_name(target.name + ".part")


def size_of(path: pathlib.Path) -> int:
    """Bytes of a file, 0 where there is none."""
    return path.stat().st_size if path.exists() else 0


def matches(path: pathlib.Path, checksum: str) -> bool:
    """Whether a file has a checksum, 'md5:...' or 'sha256:...'; '' suits every file."""
    kind, _, digest = checksum.partition(":")
    return not checksum or hash_of(path, kind) == digest.lower()


def hash_of(path: pathlib.Path, kind: str) -> str:
    """A file's digest in hexadecimal; `kind` is 'md5' or 'sha256'."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, kind).hexdigest()


def download(
    url: str,
    target: pathlib.Path,
    *,
    size: int = 0,
    checksum: str = "",
    patience: Patience | None = None,
    bar: Any = None,
) -> None:
    """Gets `url` into `target`, which appears whole and checked, or not at all.

    Args:
        url: http or https.
        target: the file; what an earlier run left of it is continued.
        size: bytes that were published, 0 if unknown.
        checksum: 'md5:...' or 'sha256:...' that was published, '' if unknown.
        patience: timeouts and retries.
        bar: a tqdm bar in bytes, or None.

    Raises:
        UserError: the server refuses, or has another file, or stays out of reach; no room.
    """
    part = part_of(target)
    with writing(target.parent):
        target.parent.mkdir(parents=True, exist_ok=True)
        for _ in range(2):
            _complete(url, part, size, patience or Patience(), bar)
            _say(bar, f"checking {checksum.partition(':')[0]}")
            if matches(part, checksum):
                place(part, target)
                return
            part.unlink()
    raise UserError(
        f"{url} came twice with the wrong checksum (not {checksum}); nothing of it is kept. Try "
        "later, or another --mirror."
    )


def read_json(url: str, *, patience: Patience) -> Any:
    """The JSON document at an address, or None where it can't be had, or has more than 16 MB."""
    import requests

    for attempt in range(3):
        try:
            asked = {"headers": responses.headers(), "timeout": (patience.connect, patience.read)}
            with responses.answering(url, stream=True, **asked) as response:
                responses.refuse(url, response, patience)
                return json.loads(_bounded(response, patience))
        except (UserError, ValueError, RecursionError):  # not there, or no JSON
            return None
        except (TroubleError, requests.RequestException) as error:
            patience.sleep(_wait(attempt, error, patience))
    return None


def _bounded(response: Any, patience: Patience) -> bytes:
    """All of an answer; raises ValueError where it has too many bytes or trickles."""
    found, began = bytearray(), time.monotonic()
    for chunk in response.iter_content(CHUNK):
        found += chunk
        if len(found) > MOST_JSON or time.monotonic() - began > patience.longest_asked:
            raise ValueError("too long an answer")
    return bytes(found)


def _wait(attempt: int, error: Exception, patience: Patience) -> float:
    asked = getattr(error, "wait", None)
    doubled = min(patience.first_wait * 2**attempt, patience.longest_wait)
    return doubled if asked is None else asked


def _say(bar: Any, words: str) -> None:
    if bar is not None:
        bar.set_postfix_str(words, refresh=bool(words))


def _complete(url: str, part: pathlib.Path, size: int, patience: Patience, bar: Any) -> None:
    """Goes on with `part` until it is whole, through every trouble that passes."""
    if size and size_of(part) > size:
        part.unlink()
    failures = 0
    while not size or size_of(part) < size:
        begin = size_of(part)
        try:
            _continue(url, part, size, patience, bar)
            return
        except TroubleError as trouble:
            failures = 1 if size_of(part) > begin else failures + 1
            if failures >= patience.attempts:
                raise UserError(
                    f"{url}: {trouble}, {failures} times in a row; the "
                    f"{size_text(size_of(part))} that came are kept, and the same command goes on "
                    "from there."
                ) from trouble
            wait = _wait(failures - 1, trouble, patience)
            _say(bar, f"{trouble}; again in {wait:.0f} s")
            patience.sleep(wait)


def _continue(url: str, part: pathlib.Path, size: int, patience: Patience, bar: Any) -> None:
    """One request for what is missing of `part`; raises TroubleError or UserError."""
    import requests

    begin = size_of(part)
    asked = {"headers": responses.headers(begin), "timeout": (patience.connect, patience.read)}
    try:
        with responses.answering(url, stream=True, **asked) as response:
            if response.status_code == 416 and begin:
                _beyond_the_end(response, part, begin)
                return
            responses.refuse(url, response, patience)
            start, total = responses.span(response, begin)
            if size and total and size != total:
                raise UserError(
                    f"{url} has {total} bytes there, where {size} were published: it is not the "
                    "same file. Try later, or another --mirror."
                )
            _need_room(url, part, total - begin)
            end = _write(response, part, start, size or total, bar)
    except requests.RequestException as error:
        raise TroubleError(responses.reason(error)) from error
    if end < max(size, total):
        raise TroubleError(f"it breaks off after {end} of {max(size, total)} bytes")


def _write(response: Any, part: pathlib.Path, start: int, limit: int, bar: Any) -> int:
    """Writes a response from byte `start` on and returns the length that is reached.

    More than `limit` bytes (0: any number) are another file: it starts anew.
    """
    if bar is not None:
        bar.total = bar.total or limit or None
        bar.n = bar.last_print_n = start  # a server that starts anew is seen to
        _say(bar, "")
    with open(part, "r+b" if part.exists() else "wb") as file:
        file.truncate(start)
        file.seek(start)
        for chunk in response.iter_content(CHUNK):
            if limit and file.tell() + len(chunk) > limit:
                file.truncate(0)
                raise TroubleError(f"it sends more than its {limit} bytes")
            file.write(chunk)
            if bar is not None:
                bar.update(len(chunk))
        return file.tell()


def _beyond_the_end(response: Any, part: pathlib.Path, begin: int) -> None:
    """Handles status 416: the file is complete, or it is another one and starts anew."""
    match = re.fullmatch(r"bytes \*/(\d+)", response.headers.get("Content-Range", ""))
    if not match or int(match[1]) != begin:
        part.unlink()
        raise TroubleError("what came before is longer than the file: it starts anew")


def _need_room(url: str, part: pathlib.Path, needed: int) -> None:
    free = free_bytes(part.parent)
    if needed > free:
        raise UserError(
            f"{url} needs {size_text(needed)} more in {part.parent}, where {size_text(free)} are "
            "free; make room or give another --dir or --archives."
        )
