"""Pictures and sound as data URIs: a palette PNG and an 8-bit WAV, both written by hand.

Both are small, the same bytes every time, and shown by every browser.
"""

import base64
import struct
import zlib

import numpy as np
from jaxtyping import Float, Int16, UInt8


def png_uri(
    indices: UInt8[np.ndarray, "height width"], palette: UInt8[np.ndarray, "colours 4"]
) -> str:
    """A picture of palette indices as a PNG data URI; the palette is RGBA."""
    height, width = indices.shape
    rows = np.zeros((height, width + 1), np.uint8)  # each row starts with filter type 0
    rows[:, 1:] = indices
    data = (
        b"\x89PNG\r\n\x1a\n"
        + _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0))
        + _chunk(b"PLTE", palette[:, :3].tobytes())
        + _chunk(b"tRNS", palette[:, 3].tobytes())
        + _chunk(b"IDAT", zlib.compress(rows.tobytes(), 9))
        + _chunk(b"IEND", b"")
    )
    return "data:image/png;base64," + base64.b64encode(data).decode("ascii")


def _chunk(kind: bytes, data: bytes) -> bytes:
    checksum = zlib.crc32(kind + data)
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", checksum)


def wav_uri(audio: Int16[np.ndarray, " samples"], sample_rate: int, *, peak: int = 0) -> str:
    """Mono sound as a WAV data URI: mu-law (ITU-T G.711), half the size of 16 bits.

    Args:
        audio: one clip.
        sample_rate: in Hz.
        peak: the sample value that is made as loud as can be, to compare clips by volume; 0: the
            clip's own, for machine recordings are often too quiet to hear.
    """
    peak = peak or max(int(np.abs(audio.astype(np.int32)).max(initial=0)), 1)
    coded = mu_law(audio.astype(np.float64) * (0.9 * 32767 / peak)).tobytes()
    padding = b"\x00" * (len(coded) % 2)
    form = struct.pack("<HHIIHHH", 7, 1, sample_rate, sample_rate, 1, 8, 0)
    fact = struct.pack("<I", len(coded))
    body = (
        b"WAVE"
        + b"fmt "
        + struct.pack("<I", len(form))
        + form
        + b"fact"
        + struct.pack("<I", len(fact))
        + fact
        + b"data"
        + struct.pack("<I", len(coded))
        + coded
        + padding
    )
    data = b"RIFF" + struct.pack("<I", len(body)) + body
    return "data:audio/wav;base64," + base64.b64encode(data).decode("ascii")


def mu_law(samples: Float[np.ndarray, " samples"]) -> UInt8[np.ndarray, " samples"]:
    """16-bit sample values as G.711 mu-law codes: sign, 3 bits exponent, 4 bits mantissa."""
    size = np.minimum(np.abs(np.rint(samples)), 32635).astype(np.int32) + 132
    exponent = np.floor(np.log2(size)).astype(np.int32) - 7
    mantissa = (size >> (exponent + 3)) & 0x0F
    sign = np.where(samples < 0, 0x80, 0)
    return (~(sign | (exponent << 4) | mantissa) & 0xFF).astype(np.uint8)
