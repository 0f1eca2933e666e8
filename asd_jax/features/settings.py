"""What a front end, a pooling over time and a picture are made by. No jax here."""

import dataclasses
import functools
from typing import Annotated, Literal

import numpy as np
from jaxtyping import Float

from asd_jax.bounds import Checked, Within, inside
from asd_jax.features import mel

FLOOR = 1e-10  # -100 dB: librosa's `amin`, far below the noise of a 16-bit recording

SampleRate = Annotated[int, Within(1, 10**6)]
Samples = Annotated[int, Within(1, 2**20)]
SamplesOrNone = Annotated[int, Within(0, 2**20)]
Mels = Annotated[int, Within(1, 4096)]
Normalisation = Literal["per_bin", "per_clip", "whiten", "none"]  # see `normalise`


@dataclasses.dataclass(frozen=True)
class Spectrogram(Checked):
    """Frames and filters of a log-mel spectrogram; with a sample rate it is a `LogMel`.

    The defaults are those of Liao et al. (2025, section 3.2): a clip of 10 s becomes
    `[224 mels, 313 frames, 2 channels]`.

    Attributes:
        n_mels: number of mel filters.
        n_fft: frame and FFT length in samples, even.
        hop_length: samples from one frame to the next.
        channels: any of `power` = 10 log10 mel(|X|^2) and `magnitude` = 20 log10 mel(|X|). They are
            not proportional: the mel filter sums before the logarithm.
    """

    n_mels: Mels = 224
    n_fft: Samples = 2048
    hop_length: Samples = 512
    channels: tuple[Literal["power", "magnitude"], ...] = ("power", "magnitude")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.n_fft % 2:
            self.refuse("n_fft", f"is {self.n_fft}; it must be even.")
        if not self.channels:
            self.refuse("channels", "is empty; it must name 'power', 'magnitude' or both.")

    def at(self, sample_rate: int) -> "LogMel":
        """The spectrogram of waveforms at this rate, in Hz."""
        shared = {
            field.name: getattr(self, field.name) for field in dataclasses.fields(Spectrogram)
        }
        return LogMel(**shared, sample_rate=sample_rate)


@dataclasses.dataclass(frozen=True)
class LogMel(Spectrogram):
    """Settings of the front end.

    Attributes:
        sample_rate: of the waveform, in Hz.
    """

    sample_rate: SampleRate = 16000

    def __post_init__(self) -> None:
        super().__post_init__()
        empty = np.flatnonzero(~filterbank(self).any(axis=1))
        if empty.size:
            self.refuse(
                "n_mels",
                f"is {self.n_mels}, which leaves {empty.size} mel filters without a single FFT bin "
                f"(the first is number {empty[0]}): lower it or raise n_fft.",
            )


@functools.lru_cache(maxsize=8)
def filterbank(spec: LogMel) -> Float[np.ndarray, "mels bins"]:
    """The mel filters of these settings, from 0 to half the sample rate, as librosa's defaults."""
    return mel.mel_filterbank(sample_rate=spec.sample_rate, n_fft=spec.n_fft, n_mels=spec.n_mels)


@dataclasses.dataclass(frozen=True)
class TimePooling(Checked):
    """How the statistics branch turns `[mels, frames]` into one vector (Liao section 2.7).

    The default keeps five views of a clip; on real recordings with background noise, the paper's
    weighting of the linear spectrogram tells next to nothing apart.

    Attributes:
        pool: `views` (see `views.clip_views`), `mean`, or `gwap` (eq. 7 and 8).
        scale: `db`, the logarithm before pooling, or `linear`; `views` are always in dB.
    """

    pool: Literal["views", "gwap", "mean"] = "views"
    scale: Literal["db", "linear"] = "db"


# n_fft and hop_length of a kind of picture; of all others librosa's.
_FRAMES = {"spectrogram": (256, 128)}
_LIBROSA = (2048, 512)


@dataclasses.dataclass(frozen=True)
class Pictures(Checked):
    """Spectrogram pictures (Sun 2025, table 6, figure 4); with a sample rate it is a `Picture`.

    Attributes:
        kind: what is drawn; see `pictures`.
        size: height and width in pixels.
        render: `none`, three equal channels; `magma`, the colours of the plotted picture.
        normalise: `per_clip`, levels between each clip's own least and greatest, as printed;
            `per_bin`, the same scale for all, so that the network can normalise each frequency.
        n_fft: frame length in samples, even; 0 means the kind's own.
        hop_length: samples from frame to frame; 0 means the kind's own.
        n_mels: mel filters, for `mel` only.
        top_db: levels further below the clip's loudest count as that far below; 0 means no limit.
            Of `per_clip` only.
    """

    kind: Literal["spectrogram", "mel", "log_frequency", "linear_frequency"] = "spectrogram"
    size: Annotated[int, Within(1, 4096)] = 224
    render: Literal["none", "magma"] = "none"
    normalise: Literal["per_clip", "per_bin"] = "per_clip"
    n_fft: SamplesOrNone = 0
    hop_length: SamplesOrNone = 0
    n_mels: Mels = 128
    top_db: Annotated[float, Within(0, 1000)] = 80.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.n_fft % 2:
            self.refuse("n_fft", f"is {self.n_fft}; it must be even, or 0 for the kind's own.")

    @property
    def frame(self) -> tuple[int, int]:
        """Returns (n_fft, hop_length) in samples, the kind's own where the settings say 0."""
        n_fft, hop = _FRAMES.get(self.kind, _LIBROSA)
        return self.n_fft or n_fft, self.hop_length or hop

    def at(self, sample_rate: int) -> "Picture":
        """The pictures of waveforms at this rate, in Hz."""
        shared = {field.name: getattr(self, field.name) for field in dataclasses.fields(Pictures)}
        return Picture(**shared, sample_rate=sample_rate)


@dataclasses.dataclass(frozen=True)
class Picture(Pictures):
    """Settings of a spectrogram picture.

    Attributes:
        sample_rate: of the waveform, in Hz.
    """

    sample_rate: SampleRate = 16000

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.kind == "mel":
            with inside("Picture"):
                self.log_mel  # noqa: B018  checks itself

    @property
    def log_mel(self) -> LogMel:
        """The mel bands of `mel`."""
        n_fft, hop = self.frame
        return LogMel(self.n_mels, n_fft, hop, sample_rate=self.sample_rate)
