"""The whole judgement of one recording in PyTorch: the same branches, the same sizes.

wav -> log-mel -> both networks, their fusion, early maps, pooled spectrum -> Gaussians -> sum.
"""

import wave
from typing import Any

import numpy as np
import torch

from tests.benchmarks.protocol import Work
from tests.benchmarks.recordings import written
from tests.benchmarks.reference.fusion import Fusion
from tests.benchmarks.reference.logmel import FrontEnd
from tests.benchmarks.reference.networks import network

GROUPS = 4
DECAY = 0.9  # of the pooling that weighs loud moments


class Judge(torch.nn.Module):
    """int16 `[batch, samples]` to scores `[groups, batch]`."""

    def __init__(self, layout: str) -> None:
        super().__init__()
        self.front, self.layout = FrontEnd(), layout
        self.encoder = network("ghostnetv2", layout)
        self.temporal = network("temporal", layout)
        self.fusion = Fusion(512, 512)
        self.taps: dict[str, torch.Tensor] = {}
        early = self.encoder.blocks[2]  # the last at a quarter of the resolution
        early.register_forward_hook(lambda _m, _i, out: self.taps.update(early=out))
        self.sizes = {
            "fusion": 128,
            "spectral": 512,
            "temporal": 512,
            "early_layers": 672,
            "pooled": 224,
        }
        self.scorers = {
            name: (torch.zeros(GROUPS, dim), torch.eye(dim).repeat(GROUPS, 1, 1))
            for name, dim in self.sizes.items()
        }

    def forward(self, samples: torch.Tensor) -> torch.Tensor:
        x = samples.float() / 32768
        power = self.front.spectrum(x)
        levels = self.front.levels(power, 2)
        features = {"pooled": _pooled(levels[:, 0])}
        maps = (levels + 50) * 0.1
        if self.layout == "channels_last":
            maps = maps.contiguous(memory_format=torch.channels_last)
        features["spectral"] = self.encoder(maps)
        features["temporal"] = self.temporal(x)
        features["fusion"] = self.fusion(features["temporal"], features["spectral"])
        profile = self.taps["early"].mean(dim=3)
        features["early_layers"] = (0.5 * (profile[:, :, 0::2] + profile[:, :, 1::2])).flatten(1)
        return sum(self._gaussian(name, value) for name, value in features.items())

    def _gaussian(self, name: str, x: torch.Tensor) -> torch.Tensor:
        mean, factor = self.scorers[name]
        white = torch.bmm(x[None] - mean[:, None], factor)
        return 0.5 * white.square().sum(-1)


def _pooled(level: torch.Tensor) -> torch.Tensor:
    """Between the mean over time and the mean that weighs the loudest frames most."""
    weights = DECAY ** torch.arange(level.shape[-1])
    loud = level.sort(dim=-1, descending=True).values @ (weights / weights.sum())
    return 0.5 * (level.mean(-1) + loud)


def read(path: str) -> np.ndarray:
    """One channel of a PCM file."""
    with wave.open(path, "rb") as file:
        samples = np.frombuffer(file.readframes(file.getnframes()), np.int16)
        return samples.reshape(-1, file.getnchannels())[:, 0]


def build(variant: dict[str, Any], program: dict[str, Any]) -> Work:
    """Scores one file, or sixteen at once."""
    torch.set_num_threads(2)
    torch.manual_seed(0)
    judge = Judge(variant["layout"]).eval()
    paths = written(16, 1)[: program["clips"]]

    @torch.inference_mode()
    def once() -> list[float]:
        samples = torch.from_numpy(np.stack([read(path) for path in paths]))
        return judge(samples)[0].tolist()

    assert len(once()) == program["clips"]
    return Work(once, {"branches": len(judge.sizes)})
