"""How waveforms and spectrograms are augmented. No jax here."""

import dataclasses
from typing import Annotated, Literal

from asd_jax.bounds import Checked, Share, Within

Semitones = Annotated[float, Within(-48, 48)]
Decibels = Annotated[float, Within(-120, 120)]


@dataclasses.dataclass(frozen=True)
class WaveformAugment(Checked):
    """Which transforms of a waveform (Liao section 2.4.1), how strong, how often.

    Attributes:
        transforms: in the order in which they are applied. Noise, fades and other speeds imitate
            faults.
        probability: with which each transform is applied to a clip.
        shift_frames: longest time shift, in frames of the front end, around the loop that a clip is
            taken for.
        semitones: lowest and highest pitch shift; the paper's single step is -20.
        pitch: 'speed', a pitch shift moves the tempo with it; 'tempo', it keeps the tempo.
        fade_share: longest fade, as a share of the clip, at most a half.
        snr_db: lowest and highest signal-to-noise ratio of white noise.
    """

    transforms: tuple[Literal["time_shift", "pitch_shift", "fade", "white_noise"], ...] = (
        "time_shift",
    )
    probability: Share = 1.0
    shift_frames: Annotated[float, Within(0, 1e5)] = 1000.0
    semitones: tuple[Semitones, Semitones] = (-4.0, 4.0)
    pitch: Literal["speed", "tempo"] = "speed"
    fade_share: Annotated[float, Within(0, 0.5, above=True)] = 0.5
    snr_db: tuple[Decibels, Decibels] = (-10.0, 10.0)

    def __post_init__(self) -> None:
        super().__post_init__()
        for field in ("semitones", "snr_db"):
            low, high = getattr(self, field)
            if low > high:
                self.refuse(field, f"is ({low}, {high}); it must be (lowest, highest).")


@dataclasses.dataclass(frozen=True)
class Mixing(Checked):
    """How two spectrograms and their labels are mixed (Liao section 2.3).

    Attributes:
        mix_probability: with which a clip is mixed at all.
        splice: whether eq. 1 cuts and splices before the mixup.
        mix_ratio: lambda of eq. 2, the partner's share.
        mix_beta: above 0, lambda is drawn from Beta(mix_beta, mix_beta) for each clip instead.
        mix_label: the partner's share of the label: `ratio`, lambda as printed, or
            `area_corrected`, its true share of the picture.
    """

    mix_probability: Share = 0.5
    splice: bool = False
    mix_ratio: Share = 0.4
    mix_beta: Annotated[float, Within(0, 1000)] = 0.4
    mix_label: Literal["ratio", "area_corrected"] = "ratio"


@dataclasses.dataclass(frozen=True)
class Augment(WaveformAugment, Mixing):
    """All augmentation of a run: of its waveforms, and of their spectrograms."""
