"""Recordings as crashed recorders, forgers and phones leave them, made from sound at hand."""

import pathlib
import struct

import numpy as np
import soundfile

RATE = 16000


def sound(seconds: float = 1.0, seed: int = 0) -> np.ndarray:
    """A hum in noise, int16."""
    rng = np.random.default_rng(seed)
    time = np.arange(round(seconds * RATE)) / RATE
    return np.rint(2000 * np.sin(2 * np.pi * 120 * time) + rng.normal(0, 400, len(time))).astype(
        np.int16
    )


def chunk(name: bytes, data: bytes, size: int | None = None) -> bytes:
    return name + struct.pack("<I", len(data) if size is None else size) + data


def wav(
    samples: np.ndarray, *, rate: int = RATE, size: int | None = None, outer: int | None = None
) -> bytes:
    """A 16-bit wav of one channel whose header says what it is told to."""
    form = struct.pack("<HHIIHH", 1, 1, rate, rate * 2 & 0xFFFFFFFF, 2, 16)
    data = chunk(b"fmt ", form) + chunk(b"data", samples.astype("<i2").tobytes(), size)
    return b"RIFF" + struct.pack("<I", 4 + len(data) if outer is None else outer) + b"WAVE" + data


def written(path: pathlib.Path, samples: np.ndarray, **options) -> bytearray:
    """The bytes of a file that `soundfile` writes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, samples, RATE, **options)
    return bytearray(path.read_bytes())


def claim_flac_samples(data: bytearray, samples: int) -> bytes:
    """A FLAC whose STREAMINFO (RFC 9639, section 8.2) has another total, 36 bits; 0 is unknown."""
    data[21] = data[21] & 0xF0 | samples >> 32
    data[22:26] = struct.pack(">I", samples & 0xFFFFFFFF)
    return bytes(data)


def claim_mp3_frames(data: bytearray, frames: int) -> bytes:
    """An mp3 whose Xing header counts other frames."""
    at = max(data.find(b"Xing"), data.find(b"Info"))
    data[at + 8 : at + 12] = struct.pack(">I", frames)
    return bytes(data)
