"""The same sound gives the same scores, however it comes; pauses and ends are events."""

import dataclasses
import datetime
import os
import threading
import time

import numpy as np
import pytest

from asd_jax.live import stream
from asd_jax.live.alarm import Alarm, Rule
from asd_jax.live.pcm import Pcm
from asd_jax.live.recordings import ClipScorer, score_each
from asd_jax.live.stream import StreamScorer, sentence
from tests.live import machine

SOUND = machine.with_tone(machine.hum(6.3, seed=7), start=2.0, end=4.0, hertz=3000)


def events(clip_scorer, chunks, pcm=Pcm(16000), **options):  # noqa: B008
    stream_scorer = StreamScorer(
        clip_scorer, pcm, **({"hop": 0.5, "alarm": Alarm(Rule(2, 3, 2))} | options)
    )
    return list(stream_scorer.listen(chunks))


def cut(data, sizes, seed=0):
    rng, at = np.random.default_rng(seed), 0
    while at < len(data):
        size = int(rng.choice(sizes))
        yield data[at : at + size]
        at += size


def timeless(found):
    return [{key: value for key, value in event.items() if key != "time"} for event in found]


def windows(found):
    return [event for event in found if event["event"] == "window"]


def test_odd_chunks_change_nothing(clip_scorer):
    data = SOUND.tobytes()
    whole = events(clip_scorer, [data])
    assert len(windows(whole)) == 12  # 11 whole ones, and one that ends with the sound
    for sizes in ([1, 511, 5000], [7001]):
        assert timeless(events(clip_scorer, cut(data, sizes))) == timeless(whole)
    short = data[:40_000]
    assert timeless(events(clip_scorer, cut(short, [3]))) == timeless(events(clip_scorer, [short]))


def test_a_stream_is_scored_as_the_file_is(clip_scorer, tmp_path):
    import soundfile

    soundfile.write(tmp_path / "a.wav", SOUND, 16000)
    rows = list(score_each(clip_scorer, [str(tmp_path / "a.wav")]))
    found = windows(events(clip_scorer, [SOUND.tobytes()], hop=1.0))
    np.testing.assert_allclose(
        [e["score"] for e in found], [r["score"] for r in rows], rtol=1e-3, atol=1e-3
    )
    assert [e["departs_from_s"] for e in found] == [r["departs_from_s"] for r in rows]
    assert [(e["from_s"], e["to_s"]) for e in found][-1] == pytest.approx((5.3, 6.3))


def test_the_alarm_follows_the_tone(clip_scorer):
    found = windows(events(clip_scorer, [SOUND.tobytes()]))
    over = [e["decision"] for e in found]
    raised = next(e for e in found if e["alarm_changed"] == "raised")
    cleared = next(e for e in found if e["alarm_changed"] == "cleared")
    assert over == [0, 0, 0, 1, 1, 1, 1, 1, 0, 0, 0, 0]
    assert (raised["to_s"], cleared["to_s"]) == (3.0, 5.5)
    assert [e["alarm"] for e in found] == [False] * 4 + [True] * 5 + [False] * 3
    heard = raised["departs_from_hz"], raised["departs_to_hz"]
    assert heard[0] < 3000 < heard[1] and raised["departs_by"] > 0


def test_a_pause_starts_windows_anew_and_the_end_tells_all(clip_scorer):
    data = SOUND.tobytes()
    half = 40_000 + 1  # bytes: in the middle of a sample, 1.25 s
    found = events(clip_scorer, [data[:half], None, data[:half], data[half:64_000]])
    kinds = [e["event"] for e in found]
    assert kinds == ["window", "window", "gap", "resumed", *["window"] * 3, "end"]
    spans = [(e["from_s"], e["to_s"]) for e in windows(found)]
    assert spans == [(0, 1), (0.25, 1.25), (1.25, 2.25), (1.75, 2.75), (2.25, 3.25)]
    assert windows(found)[2]["score"] == windows(found)[0]["score"]
    assert found[-1]["windows"] == 5 and found[-1]["at_s"] == 3.25
    assert all(sentence(e).endswith(".") for e in found if e["event"] != "window")


def test_it_ends_in_the_middle_of_a_window(clip_scorer):
    assert [e["event"] for e in events(clip_scorer, [SOUND[:7000].tobytes()])] == ["end"]
    short = events(clip_scorer, [SOUND[:9000].tobytes()])
    assert [e["event"] for e in short] == ["window", "end"]
    assert [e["event"] for e in events(clip_scorer, [])] == ["end"]


def test_another_format_rate_and_channels(clip_scorer):
    plain = windows(events(clip_scorer, [SOUND.tobytes()]))
    stereo = np.stack([SOUND, SOUND[::-1]], 1) / 32768
    pcm = Pcm(16000, "f32le", 2)
    assert timeless(
        windows(events(clip_scorer, cut(stereo.astype("<f4").tobytes(), [1001]), pcm))
    ) == (timeless(plain))
    doubled = np.repeat(SOUND, 3).tobytes()
    found = windows(events(clip_scorer, cut(doubled, [997]), Pcm(48000)))
    assert len(found) == len(plain)


def test_time_is_the_clocks_and_listeners_are_told(clip_scorer):
    heard, scored = [], []
    moment = datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.UTC)
    found = events(
        clip_scorer,
        [SOUND.tobytes()],
        clock=lambda: moment,
        heard=heard.append,
        scored=lambda row, piece: scored.append((row["score"], len(piece.wave))),
    )
    assert found[0]["time"] == "2026-01-02T03:04:05.000+00:00"
    np.testing.assert_array_equal(np.concatenate(heard), SOUND)
    assert scored == [(e["score"], 16000) for e in windows(found)]


def piped(data, *, chunk, pause):
    """A pipe into which a thread writes at some speed."""
    read, write = os.pipe()

    def send():
        for part in range(0, len(data), chunk):
            os.write(write, data[part : part + chunk])
            time.sleep(pause)
        os.close(write)

    threading.Thread(target=send, daemon=True).start()
    return read


def test_at_real_time_and_as_fast_as_possible_the_scores_are_the_same(clip_scorer):
    data = SOUND[:40_000].tobytes()  # 2.5 s
    slow = piped(data, chunk=3201, pause=0.1)
    begun = time.monotonic()
    real = events(clip_scorer, stream.chunks(slow, gap=2.0))
    assert time.monotonic() - begun > 2.4
    fast = piped(data, chunk=len(data), pause=0.0)
    assert timeless(events(clip_scorer, stream.chunks(fast, gap=2.0))) == timeless(real)
    assert len(windows(real)) == 4


def test_a_sender_that_pauses_is_noticed_while_it_does():
    read, write = os.pipe()
    got = stream.chunks(read, gap=0.15)
    os.write(write, b"ab")
    assert next(got) == b"ab"
    assert next(got) is None
    threading.Timer(0.5, lambda: (os.write(write, b"c"), os.close(write))).start()
    assert list(got) == [b"c"]  # one pause, one None


def test_reading_ends_when_asked():
    read, _ = os.pipe()
    stop = threading.Event()
    threading.Timer(0.2, stop.set).start()
    assert list(stream.chunks(read, gap=9.0, stopped=stop.is_set)) == []


def test_a_dead_microphone_raises_no_alarm(clip_scorer):
    stream_scorer = StreamScorer(clip_scorer, Pcm(machine.RATE), alarm=Alarm(Rule(raised=1, of=1)))
    events = list(stream_scorer.listen([bytes(2 * 3 * machine.RATE)]))
    windows = [event for event in events if event["event"] == "window"]
    assert windows and all(np.isnan(event["score"]) for event in windows)
    assert {event["quality"] for event in windows} == {"silent"}
    assert not any(event["alarm"] for event in windows)


BOTH = np.stack([machine.hum(3.0, seed=1), machine.hum(3.0, seed=2)], 1)
DEAD, APART = BOTH.copy(), BOTH.copy()
DEAD[16000:, 1] = 0
APART[:, 1] = -APART[:, 0] + 3


@pytest.mark.parametrize(
    ("sound", "channel", "flags"),
    [
        (BOTH, 0, [set(), set(), set()]),
        (DEAD, 0, [set(), {"dead_channel"}, {"dead_channel"}]),
        (BOTH, "mean", [set(), set(), set()]),
        (APART, "mean", [{"antiphase"}] * 3),
        (APART, 0, [set(), set(), set()]),
    ],
)
@pytest.mark.parametrize("rate", [16000, 8000])
def test_windows_say_what_is_wrong_with_the_channels(clip_scorer, sound, channel, flags, rate):
    data = dataclasses.replace(clip_scorer.detector.config.data, channel=str(channel))
    config = dataclasses.replace(clip_scorer.detector.config, data=data)
    scorer = ClipScorer(dataclasses.replace(clip_scorer.detector, config=config))
    raw = sound[:: 16000 // rate].astype("<i2").tobytes()
    asked = {"dead_channel", "antiphase"}
    for chunks in ([raw], cut(raw, [3, 4001]), [raw[:1000], None, raw[1000:]]):
        found = windows(events(scorer, chunks, Pcm(rate, channels=2), hop=1.0))
        said = [asked & set(event["quality"].split()) for event in found]
        assert said[: len(flags)] == flags


def test_a_stream_at_another_level_than_the_training_s_says_so(clip_scorer):
    quiet = np.rint(machine.hum(2.0) / 64).astype("<i2").tobytes()
    found = windows(events(clip_scorer, [quiet], hop=1.0))
    assert [event["quality"] for event in found] == ["level", "level"]


def test_a_stream_that_stands_still_for_a_while_says_so(clip_scorer):
    sound = machine.hum(3.0)
    sound[20000:24000] = 0
    found = windows(events(clip_scorer, [sound.astype("<i2").tobytes()], hop=1.0))
    assert [event["quality"] for event in found] == ["", "gaps", ""]
