"""What is wrong with a recording as sound, in words that stand on its score.

`silent`, `constant` and `short` are no sound: they are neither learned from nor scored. The others
are scored, and say why the score may mislead.
"""

import dataclasses
from collections.abc import Collection

import numpy as np
from jaxtyping import Int16, Shaped

MEANINGS = {
    "silent": "it is silent",
    "constant": "it is one constant value, without sound",
    "short": "it is shorter than 0.1 s",
    "gaps": "it stands still in places, for 0.1 s or more",
    "clipped": "it goes beyond full scale",
    "repeated": "it is shorter than a clip and repeated to its length",
    "resampled": "it has another sample rate",
    "level": "it is much louder or quieter than the training",
    "dead_channel": "one of its channels is silent",
    "antiphase": "its channels cancel each other in their mean",
    "cut_off": "it ends before its header says",
    "unfinished": "its header was never finished, or its size field has overflowed",
}
NO_SOUND = frozenset({"silent", "constant", "short"})
SHORTEST = 0.1  # s
LEVEL = 20.0  # dB from the training's level: ten times the pressure, as of another gain
_STEPS = 2  # of 16 bits: what does not vary by more holds no waveform
_CLIPPED = 1e-4  # share of samples at full scale
_CANCELLED = 0.1  # of the power that channels without common sound keep in their mean
_STRIDE = 1024  # of the frames in which a channel is looked at first, one in so many


def words(flags: Collection[str]) -> str:
    """The flags as a row holds them: in one order, separated by spaces."""
    return " ".join(flag for flag in MEANINGS if flag in flags)


def no_sound(flags: str) -> str:
    """Why a clip with these `words` is not scored; '' where it is."""
    return next((MEANINGS[flag] for flag in flags.split() if flag in NO_SOUND), "")


def of_clip(wave: Int16[np.ndarray, " samples"], rate: int) -> set[str]:
    """The flags that one clip shows by itself; `rate` in Hz."""
    low, high = (int(wave.min()), int(wave.max())) if len(wave) else (0, 0)
    if still := no_waveform(low, high):
        return still
    at_ends = low == -32768 or high == 32767
    found = {"clipped"} if at_ends and is_clipped(wave, 32767) else set()
    return found | ({"gaps"} if _longest_still(wave) >= SHORTEST * rate else set())


def _longest_still(wave: Int16[np.ndarray, " samples"]) -> int:
    """The most samples in a row that are the same, as where a microphone or a network fell out."""
    changes = np.flatnonzero(wave[1:] != wave[:-1])
    return int(np.diff(changes, prepend=-1, append=len(wave) - 1).max())


def no_waveform(low: float, high: float) -> set[str]:
    """Whether sound within these bounds, in steps of 16 bits, is none."""
    if high - low > _STEPS:
        return set()
    return {"silent" if max(-low, high) <= _STEPS else "constant"}


def is_clipped(wave: Shaped[np.ndarray, " samples"], full: float) -> bool:
    """Whether more samples than a stray few reach full scale."""
    return bool(np.count_nonzero((wave >= full) | (wave <= -full)) > _CLIPPED * len(wave))


def of_level(away: float) -> set[str]:
    """The flag of sound that is so many dB away from the training's."""
    return {"level"} if abs(away) > LEVEL else set()


@dataclasses.dataclass(frozen=True)
class Channels:
    """What the channels of some frames show beside each other; a sum is of all their frames.

    Attributes:
        dead: which are silent throughout, bool `[channels]`.
        mean_power: the mean of the channels' powers, summed over frames; 0 where only one is taken.
        power_of_mean: the same of their mean.
    """

    dead: np.ndarray
    mean_power: float = 0.0
    power_of_mean: float = 0.0

    @classmethod
    def of(
        cls,
        frames: Shaped[np.ndarray, "frames channels"],
        mean: Shaped[np.ndarray, " frames"] | None = None,
    ) -> "Channels":
        """Takes the frames and, where that is what is listened to, the mean of their channels."""
        dead = np.logical_not(frames[::_STRIDE].any(axis=0))
        for channel in np.flatnonzero(dead):
            dead[channel] = not frames[:, channel].any()
        if mean is None:
            return cls(dead)
        powers = [np.square(channel, dtype=np.float64).sum() for channel in frames.T]
        return cls(dead, float(np.mean(powers)), float(np.square(mean, dtype=np.float64).sum()))

    def __add__(self, more: "Channels") -> "Channels":
        return Channels(
            self.dead & more.dead,
            self.mean_power + more.mean_power,
            self.power_of_mean + more.power_of_mean,
        )

    @property
    def flags(self) -> set[str]:
        """`dead_channel`, and `antiphase` where less is left than channels without common sound."""
        left = _CANCELLED * self.mean_power / len(self.dead)
        found = {"dead_channel"} if self.dead.any() and not self.dead.all() else set()
        return found | ({"antiphase"} if self.power_of_mean < left else set())
