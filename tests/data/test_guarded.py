"""Reading one recording: headers are not believed, and what goes wrong is that file's reason."""

import os
import struct
import tracemalloc

import numpy as np
import pytest
import soundfile

from asd_jax.data import containers, decode
from asd_jax.data.decode import Recording, UnreadableError, read_wave
from tests.data import odd
from tests.data.odd import RATE, sound

CONTAINERS = [
    ("WAV", "a.wav"),
    ("RF64", "a.wav"),
    ("W64", "a.w64"),
    ("AIFF", "a.aiff"),
    ("CAF", "a.caf"),
    ("AU", "a.au"),
]


def partly(path):
    """What scoring hears of a file, and its flags."""
    recording = Recording(path, sample_rate=RATE, channel=0, partial=True)
    return np.concatenate(list(recording.blocks())), recording.flags


def test_a_flac_of_unknown_length_is_read_to_its_end(tmp_path):
    path = tmp_path / "piped.flac"
    path.write_bytes(odd.claim_flac_samples(odd.written(path, sound()), 0))
    np.testing.assert_array_equal(read_wave(path), sound())


@pytest.mark.parametrize(
    ("name", "forge", "reason"),
    [
        ("a.flac", lambda data: odd.claim_flac_samples(data, 2**36 - 1), "announces .* can hold"),
        ("a.mp3", lambda data: odd.claim_mp3_frames(data, 2**31 - 1), "announces .* can hold"),
        ("1hz.wav", lambda data: odd.wav(sound(), rate=1), "says 1 Hz"),
        ("2ghz.wav", lambda data: odd.wav(sound(), rate=2**31 - 1), "says 2147483647 Hz"),
    ],
)
def test_what_a_header_claims_is_not_allocated(tmp_path, name, forge, reason):
    path = tmp_path / name
    path.write_bytes(forge(odd.written(path, sound())))
    tracemalloc.start()
    try:
        for partial in (False, True):
            recording = Recording(path, sample_rate=RATE, channel=0, partial=partial)
            with pytest.raises(UnreadableError, match=reason):
                list(recording.blocks())
        assert tracemalloc.get_traced_memory()[1] < 1e8
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("error", [MemoryError(), ValueError("x"), RuntimeError("y"), OSError(5)])
def test_whatever_a_decoder_raises_is_the_reason_of_its_file(tmp_path, monkeypatch, error):
    odd.written(tmp_path / "a.wav", sound())

    def fail(*arguments, **options):
        raise error

    monkeypatch.setattr(soundfile.SoundFile, "read", fail)
    with pytest.raises(UnreadableError, match="can't be decoded") as caught:
        read_wave(tmp_path / "a.wav")
    assert caught.value.path == str(tmp_path / "a.wav")


def test_every_flipped_byte_of_a_header_gives_sound_or_a_reason(tmp_path):
    rng = np.random.default_rng(0)
    for kind, suffix in (("WAV", "wav"), ("FLAC", "flac"), ("OGG", "ogg"), ("CAF", "caf")):
        whole = odd.written(tmp_path / f"whole.{suffix}", sound(0.2), format=kind)
        for _ in range(60):
            data = bytearray(whole)
            for place in rng.integers(0, min(len(data), 120), 3):
                data[place] = rng.integers(256)
            path = tmp_path / f"flipped.{suffix}"
            path.write_bytes(data)
            try:
                assert read_wave(path).dtype == np.int16
            except UnreadableError as error:
                assert error.reason


@pytest.mark.parametrize("name", [b"Ger\xe4usch.wav", b"line\nbreak \x1b[31m.wav"])
def test_any_name_can_be_read(tmp_path, name):
    path = os.path.join(os.fsencode(tmp_path), name)
    with open(path, "wb") as file:
        file.write(odd.wav(sound()))
    np.testing.assert_array_equal(read_wave(os.fsdecode(path)), sound())


def test_only_regular_files_are_opened(tmp_path):
    os.mkfifo(tmp_path / "pipe.wav")
    with pytest.raises(UnreadableError, match="no regular file"):
        read_wave(tmp_path / "pipe.wav")


def test_a_file_that_vanishes_while_it_is_read(tmp_path, monkeypatch):
    path = tmp_path / "a.wav"
    odd.written(path, sound())
    monkeypatch.setattr(decode, "_BLOCK", 1000)
    blocks = Recording(path, sample_rate=RATE, channel=0).blocks()
    first = next(blocks)
    path.unlink()
    np.testing.assert_array_equal(np.concatenate([first, *blocks]), sound())


@pytest.mark.parametrize(
    ("header", "flag"),
    [
        ({"size": 0, "outer": 36}, "unfinished"),  # never filled in
        ({"size": 0, "outer": 0}, "unfinished"),
        ({"size": 2 * RATE + 100}, "unfinished"),  # 3 ms longer than the sound
        ({"size": 0xFFFFFFFF, "outer": 0xFFFFFFFF}, ""),  # written into a pipe
    ],
)
def test_sound_behind_an_unfinished_header_is_read(tmp_path, header, flag):
    (tmp_path / "a.wav").write_bytes(odd.wav(sound(), **header))
    found = decode.decode(tmp_path / "a.wav", sample_rate=RATE, channel=0)
    np.testing.assert_array_equal(found.wave, sound())
    assert " ".join(found.flags) == flag


@pytest.mark.parametrize(("kind", "name"), CONTAINERS)
def test_whole_files_are_whole_and_cut_ones_are_said_to_be(tmp_path, kind, name):
    data = odd.written(tmp_path / name, sound(), format=kind, subtype="PCM_16")
    assert partly(tmp_path / name)[1] == set()
    np.testing.assert_array_equal(read_wave(tmp_path / name), sound())
    (tmp_path / name).write_bytes(data[: len(data) // 2])
    with pytest.raises(UnreadableError, match="cut off"):
        read_wave(tmp_path / name)
    heard, flags = partly(tmp_path / name)
    assert flags == {"cut_off"} and 0.4 * RATE < len(heard) < 0.55 * RATE
    np.testing.assert_array_equal(heard, sound()[: len(heard)])


@pytest.mark.parametrize("name", ["a.flac", "a.mp3", "a.ogg", "a.opus"])
@pytest.mark.parametrize("tag", [b"", b"ID3\4\0\0\0\0\1\0" + bytes(128)])
def test_compressed_recordings_that_are_cut_are_read_as_far_as_they_go(tmp_path, name, tag):
    options = {"format": "OGG", "subtype": "OPUS"} if name == "a.opus" else {}
    data = odd.written(tmp_path / name, sound(3.0), **options)
    if name in ("a.flac", "a.mp3"):
        data[:0] = tag
    (tmp_path / name).write_bytes(data)
    whole, flags = partly(tmp_path / name)
    assert flags == set() and len(whole) >= 3 * RATE
    (tmp_path / name).write_bytes(data[: len(data) * 2 // 3])
    with pytest.raises(UnreadableError, match="cut off"):
        read_wave(tmp_path / name)
    heard, flags = partly(tmp_path / name)
    assert flags == {"cut_off"} and 0.8 * RATE < len(heard) < 2.5 * RATE  # Ogg's pages are long
    np.testing.assert_array_equal(heard[: RATE // 2], whole[: RATE // 2])


def test_a_hole_in_the_middle_ends_what_is_read(tmp_path):
    data = odd.written(tmp_path / "a.flac", sound(3.0))
    half = len(data) // 2
    data[half : half + 3000] = bytes(3000)
    (tmp_path / "a.flac").write_bytes(data)
    with pytest.raises(
        UnreadableError, match=r"damaged or cut off: nothing is read beyond 1\.\d s"
    ):
        read_wave(tmp_path / "a.flac")
    heard, flags = partly(tmp_path / "a.flac")
    assert flags == {"cut_off"}
    np.testing.assert_array_equal(heard, sound(3.0)[: len(heard)])


@pytest.mark.parametrize(
    ("kind", "endian", "sizes"), [("WAV", "BIG", (4, 40)), ("AU", "LITTLE", (8,))]
)
def test_the_other_byte_order(tmp_path, kind, endian, sizes):
    path = tmp_path / f"a.{kind.lower()}"
    data = odd.written(path, sound(), format=kind, subtype="PCM_16", endian=endian)
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(UnreadableError, match="cut off"):
        read_wave(path)
    assert partly(path)[1] == {"cut_off"}
    for field in sizes:
        data[field : field + 4] = bytes(4)
    path.write_bytes(data)
    heard, flags = partly(path)
    np.testing.assert_array_equal(heard, sound())
    assert flags == {"unfinished"}


@pytest.mark.parametrize(("kind", "size"), [("CAF", b"\xff" * 8), ("W64", b"\xff" * 8)])
def test_containers_whose_length_is_open_as_programs_write_them_into_a_pipe(tmp_path, kind, size):
    data = odd.written(tmp_path / "a.x", sound(), format=kind, subtype="PCM_16")
    field = data.index(b"data") + (4 if kind == "CAF" else 16)
    data[field : field + 8] = size
    (tmp_path / "a.x").write_bytes(data)
    heard, flags = partly(tmp_path / "a.x")
    np.testing.assert_array_equal(heard, sound())
    assert flags == set()


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("value", [np.inf, np.nan, 3e38])
def test_samples_that_are_no_sound_are_said_once(tmp_path, value):
    samples = np.stack([sound(), sound()], 1) / np.float32(32768)
    samples[100] = value, -value if np.isinf(value) else value
    soundfile.write(tmp_path / "a.wav", samples, RATE, subtype="FLOAT")
    for channel in (0, "mean"):
        with pytest.raises(UnreadableError, match=r"not numbers|full scale"):
            read_wave(tmp_path / "a.wav", channel=channel)


def test_a_rate_that_makes_no_sense_is_said_in_words(tmp_path):
    (tmp_path / "a.wav").write_bytes(odd.wav(sound(), rate=0))
    with pytest.raises(UnreadableError, match="its header makes no sense"):
        read_wave(tmp_path / "a.wav")


@pytest.mark.parametrize(("kind", "name"), CONTAINERS[1:])
def test_unfinished_headers_of_other_containers(tmp_path, kind, name):
    data = odd.written(tmp_path / name, sound(), format=kind, subtype="PCM_16")
    with open(tmp_path / name, "rb", buffering=0) as file:
        found = containers.find_sound(file)
    assert found.available == 2 * RATE and not found.repairs
    if kind == "RF64":  # libsndfile writes a short one as a plain wav until it must not
        data[:4] = b"RF64"
    field = {"W64": b"data", "AIFF": b"SSND", "CAF": b"data", "AU": b".snd", "RF64": b"ds64"}[kind]
    at = data.index(field)
    if kind == "AIFF":
        data[at + 4 : at + 8] = struct.pack(">I", 8)
        data[4:8] = bytes(4)
        about = data.index(b"COMM")
        data[about + 10 : about + 14] = bytes(4)
    elif kind == "W64":
        data[at + 16 : at + 24] = struct.pack("<Q", 24)
        data[16:24] = struct.pack("<Q", 0)
    elif kind == "CAF":
        data[at + 4 : at + 12] = bytes(8)
    elif kind == "AU":
        data[8:12] = bytes(4)
    else:
        data[at + 8 : at + 24] = bytes(16)
    (tmp_path / name).write_bytes(data)
    heard, flags = partly(tmp_path / name)
    np.testing.assert_array_equal(heard, sound())
    assert flags == {"unfinished"}


@pytest.mark.parametrize(("kind", "name"), CONTAINERS)
@pytest.mark.parametrize("behind", ["sound", "chunk", "nothing"])
def test_a_header_that_was_filled_in_before_the_end(tmp_path, kind, name, behind):
    if kind == "W64" and behind != "sound":
        pytest.skip("libsndfile reads a Wave64 file to its end, whatever its size says")
    path, first = tmp_path / name, sound()[: RATE // 4]
    data = odd.written(path, first, format=kind, subtype="PCM_16")
    more = {
        "sound": sound()[RATE // 4 :].astype("<i2" if kind in ("WAV", "RF64", "W64") else ">i2"),
        "chunk": odd.chunk(b"_PMX", bytes(20000)),
        "nothing": bytes(20000),  # the recorder had taken the room
    }[behind]
    path.write_bytes(data + bytes(more))
    heard, flags = partly(path)
    np.testing.assert_array_equal(heard, sound() if behind == "sound" else first)
    assert flags == ({"unfinished"} if behind == "sound" else set())


def test_a_size_that_lost_its_high_bits(tmp_path, monkeypatch):
    monkeypatch.setattr(containers, "_WRAP", 2**14)
    (tmp_path / "a.wav").write_bytes(odd.wav(sound(), size=2 * RATE % 2**14))
    heard, flags = partly(tmp_path / "a.wav")
    np.testing.assert_array_equal(heard, sound())
    assert flags == {"unfinished"}


def test_an_empty_recording_with_tags_behind_it_stays_empty(tmp_path):
    data = odd.wav(sound()[:0]) + odd.chunk(b"LIST", b"INFOISFT" + struct.pack("<I", 4) + b"abcd")
    data = data[:4] + struct.pack("<I", len(data) - 8) + data[8:]
    (tmp_path / "a.wav").write_bytes(data)
    with pytest.raises(UnreadableError, match="no samples"):
        read_wave(tmp_path / "a.wav")


def test_a_recording_has_a_longest_length(tmp_path):
    odd.written(tmp_path / "a.wav", sound(2.0))
    recording = Recording(tmp_path / "a.wav", sample_rate=RATE, channel=0, longest=1 / 3600)
    with pytest.raises(UnreadableError, match=r"config\.data\.longest_hours"):
        next(recording.blocks())
    assert len(next(recording.blocks(max_seconds=1 / 3))) > RATE // 4


@pytest.mark.parametrize("rate", [RATE, 48000, 11025])
@pytest.mark.parametrize("channel", [1, "mean"])
def test_blocks_are_the_recording(tmp_path, monkeypatch, rate, channel):
    waves = np.stack([sound(1.0, 1), sound(1.0, 2)], 1)
    soundfile.write(tmp_path / "a.flac", waves, rate)
    whole = decode.decode(tmp_path / "a.flac", sample_rate=RATE, channel=channel).wave
    monkeypatch.setattr(decode, "_BLOCK", 5000)
    parts = list(Recording(tmp_path / "a.flac", sample_rate=RATE, channel=channel).blocks())
    assert len(parts) > 2
    assert np.abs(np.concatenate(parts).astype(int) - whole).max() <= (rate != RATE)


@pytest.mark.parametrize(
    ("samples", "channel", "flags"),
    [
        (np.zeros(RATE), 0, {"silent"}),
        (np.full(RATE, 0.2), 0, {"constant"}),
        (sound(0.05) / 32768, 0, {"short"}),
        (np.clip(sound() / 2000, -1, 1), 0, {"clipped"}),
        (np.stack([sound() / 32768, np.zeros(RATE)], 1), 0, {"dead_channel"}),
        (np.stack([sound() / 32768, np.zeros(RATE)], 1), 1, {"dead_channel", "silent"}),
        (np.stack([sound(), -sound()], 1) / 32768, "mean", {"silent", "antiphase"}),
        (np.stack([sound(), -sound()], 1) / 32768, 0, set()),
        (np.stack([sound(seed=1), sound(seed=2)], 1) / 32768, "mean", set()),
        (sound() / 32768, 0, set()),
    ],
)
@pytest.mark.parametrize("rate", [RATE, 44100])
def test_what_is_wrong_with_the_sound_is_flagged(tmp_path, samples, channel, flags, rate):
    if rate != RATE and "short" in flags:
        samples = np.tile(samples, 2)
    soundfile.write(tmp_path / "a.wav", samples, rate)
    recording = Recording(tmp_path / "a.wav", sample_rate=RATE, channel=channel)
    list(recording.blocks())
    assert recording.flags == flags


def test_mp3_in_wav_is_not_cut_off(tmp_path):
    if "MP3" not in soundfile.available_formats():
        pytest.skip("this libsndfile has no mp3")
    mp3 = bytes(odd.written(tmp_path / "a.mp3", sound()))
    # WAVE_FORMAT_MPEGLAYER3 with the 12 bytes that belong to it, and a `fact` that counts more.
    form = struct.pack("<HHIIHH", 0x55, 1, RATE, 4000, 1, 0)
    form += struct.pack("<HHIHHH", 12, 1, 2, 576, 1, 0)
    data = odd.chunk(b"fmt ", form) + odd.chunk(b"fact", struct.pack("<I", RATE + 9000))
    data += odd.chunk(b"data", mp3)
    (tmp_path / "a.wav").write_bytes(b"RIFF" + struct.pack("<I", 4 + len(data)) + b"WAVE" + data)
    assert len(read_wave(tmp_path / "a.wav")) > 0.9 * RATE
