"""The monitor's page in a real browser: live data, by keyboard alone, on a phone, uploads."""

import base64
import io
import os
import threading

import pytest
import soundfile

from asd_jax.live import feed
from asd_jax.live.alarm import Alarm, Rule
from asd_jax.live.board import Board
from asd_jax.live.pcm import Pcm
from asd_jax.live.server import Monitor
from tests.live import browser, machine

pytestmark = pytest.mark.skipif(not browser.found(), reason="no Chromium on this machine")
PICTURES = os.environ.get("ASD_JAX_PICTURES")  # a folder to put screenshots into
INJECTED = '<img src=x onerror="window.hacked=1">'
FOCUS = "document.activeElement.id || document.activeElement.tagName"
SIDEWAYS = "document.documentElement.scrollWidth > document.documentElement.clientWidth"


@pytest.fixture(scope="module")
def monitor(clip_scorer):
    """A monitor that heard half a minute, the last third of it with a tone."""
    board = Board(machine.RATE)
    server = Monitor(clip_scorer, board, source="live sound", limit=1 << 20)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    sound = machine.with_tone(machine.hum(30.0, seed=7), start=20, end=30, hertz=3000)
    read, write = os.pipe()
    sender = threading.Thread(target=lambda: (os.write(write, sound.tobytes()), os.close(write)))
    sender.start()
    options = {"hop": 1.0, "alarm": Alarm(Rule(2, 2, 2))}
    feed.stream(clip_scorer, board, Pcm(machine.RATE), read, 5.0, lambda: False, options)
    board.note(INJECTED, paused=False)  # as if the sound went on
    sender.join()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def page(monitor, tmp_path_factory):
    with browser.page(str(tmp_path_factory.mktemp("profile"))) as tab:
        tab.size(1280, 1300)
        tab.do("Page.navigate", url=monitor.address)
        tab.until("document.querySelectorAll('#alarms li').length")
        yield tab


def keep(page, name):
    if PICTURES:
        page.picture(os.path.join(PICTURES, f"{name}.png"))


def wav(sound):
    file = io.BytesIO()
    soundfile.write(file, sound, machine.RATE, format="WAV")
    return file.getvalue()


def upload(page, path):
    document = page.do("DOM.getDocument")["root"]["nodeId"]
    node = page.do("DOM.querySelector", nodeId=document, selector="#file")["nodeId"]
    page.do("DOM.setFileInputFiles", nodeId=node, files=[str(path)])


def test_it_shows_what_is_heard(page):
    keep(page, "desktop")
    assert "Alarm" in page.value("document.querySelector('#verdict').textContent")
    assert page.value("document.title").startswith("ALARM")
    assert page.value("document.querySelectorAll('#alarms li').length") == 1
    drawn = page.value(
        "(() => { const c = document.querySelector('#spectrogram'); const d = c.getContext('2d')"
        ".getImageData(0, 0, c.width, c.height).data; const s = new Set();"
        "for (let i = 0; i < d.length; i += 4) s.add(d[i]); return s.size })()"
    )
    assert drawn > 50
    assert "above the threshold" in page.value(
        "document.querySelector('#scores').getAttribute('aria-label')"
    )
    assert not page.errors


def test_it_never_looks_calm_when_no_sound_comes(page, monitor):
    monitor.board.note("No sound is coming any more, after 30.0 s of it.", paused=True)
    page.until("document.querySelector('#verdict').textContent.startsWith('No sound since ')")
    assert "the alarm was on" in page.value("document.querySelector('#detail').textContent")
    keep(page, "paused")
    monitor.board.note("Sound is coming again.", paused=False)
    page.until("document.querySelector('#verdict').textContent.includes('Alarm')")


def test_figures_keep_their_zeros(page):
    for value, text in ((1000, "1000"), (0, "0"), (0.5, "0.5"), (-1234.5678, "-1235"), (20, "20")):
        assert page.value(f"number({value})") == text


def test_a_machine_is_called_what_the_server_calls_it(page):
    assert page.value("document.querySelector('#title').textContent") == "Machine monitor: hum a"
    assert "hum a: score" in page.value("document.querySelector('#detail').textContent")
    row = "{machine_type: 'pump', machine_id: '00', score: 1, threshold: 2, percentile: null}"
    page.value("[window.told, about] = [about, {groups: [['pump', '00']], machines: ['pump']}], 0")
    assert page.value(f"figures({row})") == "pump: score 1 (threshold 2)."
    page.value("about = window.told, 0")
    assert page.value(f"figures({row})") == "pump 00: score 1 (threshold 2)."


def test_an_alarm_is_played(page):
    page.value("document.querySelector('#alarms audio').load()")
    page.value("document.querySelector('#alarms audio').preload = 'auto'")
    assert page.until("document.querySelector('#alarms audio').duration") == pytest.approx(1.0)


def test_names_are_text_never_markup(page, tmp_path):
    assert INJECTED in page.value("document.querySelector('#notes').textContent")
    # A slash can't be in a file's name; all else of the markup can.
    path = tmp_path / '<img src=x onerror="window.hacked=1">.wav'
    soundfile.write(str(path), machine.hum(), machine.RATE)
    upload(page, path)
    page.until("document.querySelectorAll('#results li').length == 1")
    assert "<img" in page.value("document.querySelector('#results .name').textContent")
    assert page.value("document.querySelectorAll('main img').length") == 0
    assert page.value("window.hacked === undefined")


def test_recordings_are_scored_and_bad_ones_refused(page, tmp_path):
    good, bad, large = (tmp_path / name for name in ("odd.wav", "bad.wav", "large.wav"))
    sound = machine.with_tone(machine.hum(2.0, seed=3), start=1.2, end=1.6, hertz=3000)
    soundfile.write(str(good), sound, machine.RATE)
    bad.write_bytes(b"RIFFxxxx")
    large.write_bytes(bytes(2 << 20))
    upload(page, bad)
    page.until("document.querySelector('#upload').textContent.includes(\"can't be scored\")")
    upload(page, large)
    page.until("document.querySelector('#upload').textContent.includes('too large')")
    upload(page, good)
    page.until(
        "document.querySelector('#upload').textContent == 'odd.wav: 1 of 2 clips anomalous.'"
    )
    keep(page, "upload")
    first = page.value("document.querySelector('#results li').textContent")
    assert "Anomalous" in first and "louder than normal" in first
    assert page.until("document.querySelector('#results audio').duration") == pytest.approx(2.0)


def test_a_recording_can_be_dropped_anywhere(page):
    data = base64.b64encode(wav(machine.hum(seed=8))).decode()
    page.value(
        f"""(() => {{
            const bytes = Uint8Array.from(atob("{data}"), (c) => c.charCodeAt(0));
            const carried = new DataTransfer();
            carried.items.add(new File([bytes], "dropped.wav"));
            const how = {{ bubbles: true, cancelable: true, dataTransfer: carried }};
            document.body.dispatchEvent(new DragEvent("dragover", how));
            window.marked = document.querySelector("#drop").className;
            window.stays = !document.body.dispatchEvent(new DragEvent("drop", how));
        }})()"""
    )
    said = "document.querySelector('#upload').textContent"
    page.until(f"{said} == 'dropped.wav: 0 of 1 clip anomalous.'")
    assert page.value("window.marked") == "over" and page.value("window.stays")


def test_by_keyboard_alone(page):
    page.value("document.activeElement.blur(), window.scrollTo(0, 0)")
    page.do("Page.setInterceptFileChooserDialog", enabled=True)
    page.value("document.querySelector('#file').click = () => { window.chosen = true }")
    seen = []
    for _ in range(40):
        page.press("Tab", 9)
        seen.append(page.value(FOCUS))
        if seen[-1] == "choose":
            break
    assert seen[0] == "A" and "AUDIO" in seen and seen[-1] == "choose"
    outline = "getComputedStyle(document.activeElement).outlineStyle"
    assert page.value(outline) == "solid"
    page.press("Enter", 13)
    assert page.until("window.chosen")


@pytest.mark.parametrize("width", [320, 390, 800])
@pytest.mark.parametrize("dark", [False, True])
def test_nothing_is_cut_off_on_a_small_screen(page, width, dark):
    page.size(width, 2200, dark=dark)
    page.until(f"innerWidth == {width}")
    keep(page, f"{width}{'dark' if dark else ''}")
    assert not page.value(SIDEWAYS)
    assert page.value("document.querySelector('#choose').getBoundingClientRect().height") >= 44
    ground = page.value("getComputedStyle(document.body).backgroundColor")
    assert (sum(int(v) for v in ground[4:-1].split(",")) < 200) == dark


def test_it_says_when_the_monitor_is_gone_and_goes_on_with_a_new_one(clip_scorer, monitor, page):
    page.value("window.kept = window.fetch, window.fetch = () => Promise.reject(), 0")
    page.until("document.querySelector('#notes').textContent.includes('does not answer')")
    old, monitor.board = monitor.board, Board(machine.RATE)  # started anew, it remembers nothing
    row = clip_scorer.rows([feed.Piece("x", machine.hum(), [0], 0.0)])[0]
    row |= {"time": "2026-01-01T00:00:00+00:00", "alarm": False}
    monitor.board.hear(machine.hum(3.0))
    monitor.board.score(row, machine.hum())
    page.value("window.fetch = window.kept, 0")
    page.until("document.querySelector('#verdict').textContent == 'Sounds normal'")
    assert page.value("document.querySelector('#notes').hidden")
    assert page.value("columns.length") == monitor.board.state()["drawn"] == 29
    monitor.board = old
