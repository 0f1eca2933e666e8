"""A file comes whole and checked through any trouble, or not at all."""

import collections
import datetime
import email.utils
import hashlib
import shutil
import types

import pytest

from asd_jax.data.download import responses, transfer
from asd_jax.data.download.responses import Patience
from asd_jax.errors import UserError
from tests.data import server as bad

CONTENT = bytes(k * 7919 % 251 for k in range(1000)) * 1000
MD5 = f"md5:{hashlib.md5(CONTENT).hexdigest()}"
SIZE = len(CONTENT)


class Waits(list):
    """Stands for time.sleep: notes how long, and returns at once."""

    def __call__(self, seconds: float) -> None:
        self.append(seconds)


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "*")
    with bad.serving() as server:
        server.files["/x.zip"] = CONTENT
        yield server


@pytest.fixture
def get(server, tmp_path):
    """Downloads /x.zip with little patience; returns (target, waits)."""

    def run(*moods, **options):
        server.moods["/x.zip"] = collections.deque(moods)
        waits = Waits()
        patience = Patience(connect=2, read=0.2, attempts=3, sleep=waits)
        options = {"size": SIZE, "checksum": MD5, **options}
        target = tmp_path / "archives" / "x.zip"
        transfer.download(f"{server.url}/x.zip", target, patience=patience, **options)
        return target, waits

    return run


def left(tmp_path):
    return sorted(p.name for p in (tmp_path / "archives").iterdir())


@pytest.mark.parametrize("mood", [bad.STALL, bad.CUT])
@pytest.mark.parametrize("size", [SIZE, 0])
def test_goes_on_where_the_line_broke(get, server, tmp_path, mood, size):
    target, waits = get(mood, mood, size=size)
    assert target.read_bytes() == CONTENT
    assert left(tmp_path) == ["x.zip"]
    first, second, third = server.ranges("x.zip")
    assert first == "" and len(waits) == 2
    begins = [int(r.removeprefix("bytes=")[:-1]) for r in (second, third)]
    assert 0.4 * SIZE < begins[0] <= 0.5 * SIZE < begins[1] <= 0.75 * SIZE


def test_an_end_that_came_too_soon_is_a_break_where_no_length_was_said(get, server):
    target, waits = get(bad.CUT_UNSAID)
    assert target.read_bytes() == CONTENT and waits == [1.0]
    assert server.ranges("x.zip") == ["", f"bytes={SIZE // 2}-"]


@pytest.mark.parametrize("status", [500, 502, 503, 504, 408])
def test_tries_again_after_a_passing_error_and_waits_longer_each_time(get, status):
    target, waits = get(status, status)
    assert target.read_bytes() == CONTENT
    assert waits == [1.0, 2.0]


def test_waits_as_long_as_the_server_asks(get):
    until = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=100)
    date = {"Retry-After": email.utils.format_datetime(until, usegmt=True)}
    _, waits = get((429, {"Retry-After": "7"}), (429, date))
    assert waits[0] == 7.0 and 90 < waits[1] <= 100
    reset = str(int(until.timestamp()))
    get(bad.CUT)  # another file is there now; ask anew
    _, waits = get((429, {"X-RateLimit-Reset": reset}))
    assert 90 < waits[0] <= 101


def test_gives_up_on_a_server_that_asks_for_an_hour_and_keeps_what_came(get, tmp_path):
    with pytest.raises(UserError, match=r"asks to wait 3600 s \(429\).*same command goes on"):
        get(bad.CUT, (429, {"Retry-After": "3600"}))
    assert left(tmp_path) == ["x.zip.part"]


@pytest.mark.parametrize(
    ("status", "said"), [(403, r"refused by the server \(403\)"), (404, r"is not there \(404\)")]
)
def test_a_refusal_is_final(get, server, tmp_path, status, said):
    with pytest.raises(UserError, match=said):
        get(status)
    assert len(server.requests) == 1 and left(tmp_path) == []


def test_gives_up_after_some_failures_in_a_row_and_keeps_what_came(get, server, tmp_path):
    with pytest.raises(UserError, match=r"answers 500, 3 times in a row; the \d+ kB that came"):
        get(bad.CUT, 500, 500)
    assert left(tmp_path) == ["x.zip.part"]
    target, _ = get()
    assert target.read_bytes() == CONTENT
    assert server.ranges("x.zip")[-1] != ""


def test_an_endless_row_of_breaks_is_no_failure_while_something_comes(get):
    target, waits = get(*[bad.CUT] * 4)
    assert target.read_bytes() == CONTENT and waits == [1.0] * 4


def test_a_server_out_of_reach_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("NO_PROXY", "*")
    with bad.serving() as gone:
        pass
    patience = Patience(connect=1, read=1, attempts=2, sleep=Waits())
    with pytest.raises(UserError, match="out of reach, 2 times in a row"):
        transfer.download(f"{gone.url}/x.zip", tmp_path / "x.zip", patience=patience)


def test_a_server_that_ignores_ranges_starts_anew(get, server):
    target, _ = get(bad.CUT, bad.NO_RANGE)
    assert target.read_bytes() == CONTENT
    assert len(server.requests) == 2


def test_a_length_that_differs_from_the_published_one_is_another_file(get, tmp_path):
    with pytest.raises(UserError, match="not the same file"):
        get(bad.SAYS_LESS)
    with pytest.raises(UserError, match="not the same file"):
        get(bad.SAYS_MORE)
    assert left(tmp_path) == []


def test_a_length_that_is_a_lie_is_found_out_without_a_published_one(get, tmp_path):
    # One that says too much breaks off at its end, and then the file is found to be whole.
    target, _ = get(bad.SAYS_MORE, size=0)
    assert target.read_bytes() == CONTENT
    target.unlink()
    with pytest.raises(UserError, match="wrong checksum"):
        get(bad.SAYS_LESS, bad.SAYS_LESS, size=0)
    assert left(tmp_path) == []


def test_more_than_the_published_bytes_never_fill_the_disk(get):
    target, _ = get(bad.SENDS_MORE, checksum="")
    assert target.read_bytes() == CONTENT


def test_a_wrong_checksum_is_tried_once_more_and_never_kept(get, server, tmp_path):
    server.files["/x.zip"] = CONTENT[:-1] + b"!"
    with pytest.raises(UserError, match=f"came twice with the wrong checksum .not {MD5}"):
        get()
    assert left(tmp_path) == [] and len(server.requests) == 2


def test_what_an_earlier_run_left_is_continued_or_thrown_away(get, server, tmp_path):
    part = tmp_path / "archives" / "x.zip.part"
    part.parent.mkdir()
    part.write_bytes(CONTENT)  # whole: it was killed before it got its name
    target, _ = get()
    assert target.read_bytes() == CONTENT and not server.requests
    target.unlink()
    part.write_bytes(CONTENT)
    get(size=0)  # whole, but only the server knows: 416
    assert server.ranges("x.zip") == [f"bytes={SIZE}-"]
    target.unlink()
    for options, moods in (({"checksum": ""}, ()), ({"size": 0, "checksum": ""}, (bad.NO_RANGE,))):
        part.write_bytes(b"?" * (SIZE + 5))  # of another file
        get(*moods, **options)
        assert target.read_bytes() == CONTENT
        target.unlink()
    part.write_bytes(b"?" * 5000)
    target, _ = get()
    assert target.read_bytes() == CONTENT


def test_refuses_a_file_that_does_not_fit(get, monkeypatch, tmp_path):
    usage = shutil._ntuple_diskusage
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10**9, 0, SIZE - 1))
    with pytest.raises(UserError, match=r"needs 1\.0 MB more|needs 1 MB more"):
        get(size=0)
    assert left(tmp_path) == []


def test_a_full_disk_is_one_sentence(get, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(transfer, "_write", full)
    with pytest.raises(UserError, match="the disk is full"):
        get()


def test_json_is_none_where_it_can_not_be_had(server):
    server.files["/a"] = b'{"files": []}'
    server.files["/b"] = b"<html>"
    server.moods["/a"].extend([500, (429, {"Retry-After": "5"})])
    waits = Waits()
    patience = Patience(sleep=waits)
    assert transfer.read_json(f"{server.url}/a", patience=patience) == {"files": []}
    assert waits == [1.0, 5.0]
    assert transfer.read_json(f"{server.url}/b", patience=patience) is None
    assert transfer.read_json(f"{server.url}/c", patience=patience) is None


@pytest.mark.parametrize(
    "leads",
    [
        "file:///etc/passwd",
        "gopher://x/",
        "/x.zip",
        "http://[::1",
        "http://\x80\xff:99999999/",
        "http://%00/",
        "http://" + "a" * 300 + "/",
        "",
    ],
)
def test_wherever_a_server_leads_it_is_one_sentence(get, tmp_path, leads):
    with pytest.raises(UserError) as caught:
        get(*[(302, {"Location": leads})] * 50, size=0)
    assert "\n" not in str(caught.value) and left(tmp_path) == []


def test_a_redirect_out_of_encryption_is_refused(server, monkeypatch):
    import requests

    real = requests.get

    def led_astray(url, **options):
        return real(url.replace("https:", "http:"), **options)

    monkeypatch.setattr(requests, "get", led_astray)
    with (
        pytest.raises(UserError, match="leads to the unencrypted http:"),
        responses.answering(server.url.replace("http:", "https:") + "/x.zip"),
    ):
        pass


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Length": "\u00b2"},
        {"Content-Length": "9" * 5000},
        {"Content-Range": "bytes 0-1/" + "9" * 5000},
        {"Retry-After": "\u00b2"},
        {"Retry-After": "Mon, 99 Foo 99999 99:99:99 +9999999999"},
        {"X-RateLimit-Reset": "\u00b9\u00b2"},
        {"X-RateLimit-Reset": "9" * 5000},
    ],
)
def test_headers_that_mean_nothing_are_no_traceback(headers):
    for status in (200, 206, 429):
        answer = types.SimpleNamespace(status_code=status, headers=headers)
        try:
            responses.refuse("http://x/", answer, Patience())
            responses.span(answer, 0)
        except (responses.TroubleError, UserError) as error:
            assert "\n" not in str(error)


def test_json_is_bounded(server, monkeypatch):
    monkeypatch.setattr(transfer, "MOST_JSON", 1000)
    server.files["/fits"] = b"[" + b" " * 900 + b"]"
    server.files["/long"] = b"[" + b" " * 1000 + b"]"
    server.files["/deep"] = b"[" * 990
    patience = Patience(attempts=1, sleep=lambda _: None)
    assert transfer.read_json(f"{server.url}/fits", patience=patience) == []
    assert transfer.read_json(f"{server.url}/long", patience=patience) is None
    monkeypatch.setattr(transfer, "MOST_JSON", 10**6)
    server.files["/deep"] = b"[" * 100_000
    assert transfer.read_json(f"{server.url}/deep", patience=patience) is None
    slow = Patience(longest_asked=-1.0)
    assert transfer.read_json(f"{server.url}/fits", patience=slow) is None
