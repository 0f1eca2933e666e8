"""Pictures and sound as data URIs: a palette PNG and an 8-bit WAV.

Both are small, the same bytes every time, and shown by every browser.
"""

import base64
import io
import struct
import zlib

import numpy as np
from jaxtyping import Int16, UInt8


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
    """Mono sound as a WAV data URI: mu-law (ITU-T G.711), half the size of 16 bits; see `wav`."""
    data = wav(audio, sample_rate, peak=peak, subtype="ULAW")
    return "data:audio/wav;base64," + base64.b64encode(data).decode("ascii")


def wav(
    audio: Int16[np.ndarray, " samples"],
    sample_rate: int,
    *,
    peak: int = 0,
    subtype: str = "PCM_16",
) -> bytes:
    """Mono sound as a wav file.

    Args:
        audio: one clip.
        sample_rate: in Hz.
        peak: the sample value that is made as loud as can be, to compare clips by volume; 0: the
            clip's own, for machine recordings are often too quiet to hear.
        subtype: libsndfile's name of the encoding.
    """
    import soundfile

    peak = peak or max(int(np.abs(audio.astype(np.int32)).max(initial=0)), 1)
    file = io.BytesIO()
    soundfile.write(file, audio * (0.9 / peak), sample_rate, format="WAV", subtype=subtype)
    return file.getvalue()
