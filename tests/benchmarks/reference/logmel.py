"""Log-mel spectrograms by torch.stft and a matrix product with the filters."""

from typing import Any

import torch

from tests.benchmarks.protocol import Work
from tests.benchmarks.reference.mel import filters
from tests.benchmarks.sounds import waves

N_FFT, HOP, MELS, RATE, FLOOR = 2048, 512, 224, 16000, 1e-10


class FrontEnd:
    """int16 `[batch, samples]` to mel power, and to levels in dB `[batch, channels, mels, ...]`."""

    def __init__(self) -> None:
        self.window = torch.hann_window(N_FFT)
        self.filters = torch.from_numpy(filters(RATE, N_FFT, MELS))

    def spectrum(self, wave: torch.Tensor) -> torch.Tensor:
        """|X|^2 of float waveforms."""
        found = torch.stft(
            wave, N_FFT, HOP, window=self.window, pad_mode="constant", return_complex=True
        )
        return found.real.square() + found.imag.square()

    def levels(self, power: torch.Tensor, channels: int) -> torch.Tensor:
        """The channel of the power, and that of the magnitude if asked for."""
        found = [10 * torch.log10((self.filters @ power).clamp_min(FLOOR))]
        if channels == 2:
            magnitude = self.filters @ power.sqrt()
            found.append(20 * torch.log10(magnitude.clamp_min(FLOOR**0.5)))
        return torch.stack(found, dim=1)


def build(variant: dict[str, Any], program: dict[str, Any]) -> Work:
    """A batch at once."""
    torch.set_num_threads(2)
    front, channels = FrontEnd(), program["channels"]
    batch = torch.from_numpy(waves(program["batch"]))

    @torch.inference_mode()
    def run() -> torch.Tensor:
        return front.levels(front.spectrum(batch.float() / 32768), channels)

    return Work(
        run, {"torch": torch.__version__}, lambda: {"level": run()[0].permute(1, 2, 0).numpy()}
    )
