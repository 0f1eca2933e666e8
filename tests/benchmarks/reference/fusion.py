"""The fusion network of asd_jax/models/fusion.py in PyTorch, layer by layer (layout 24 x 24)."""

import torch
from torch import nn


class Layer(nn.Sequential):
    """Convolution and BatchNorm, perhaps PReLU."""

    def __init__(
        self, c_in: int, c_out: int, kernel: int, stride: int, padding: int, act: bool
    ) -> None:
        conv = nn.Conv2d(c_in, c_out, kernel, stride, padding, bias=False)
        super().__init__(conv, nn.BatchNorm2d(c_out), *([nn.PReLU(c_out)] if act else []))


class Squeeze(nn.Module):
    """Squeeze-and-excitation."""

    def __init__(self, channels: int, squeezed: int) -> None:
        super().__init__()
        self.gate = nn.Sequential(
            nn.Linear(channels, squeezed), nn.ReLU(), nn.Linear(squeezed, channels), nn.Sigmoid()
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * self.gate(x.mean(dim=(2, 3)))[:, :, None, None]


class Fusion(nn.Module):
    """Two embeddings to one of 128."""

    def __init__(self, temporal: int, spectral: int) -> None:
        super().__init__()
        self.project = nn.ModuleList([nn.Linear(temporal, 576), nn.Linear(spectral, 576)])
        self.body = nn.Sequential(
            Layer(2, 16, 1, 1, 0, act=True),
            Squeeze(16, 8),
            Layer(16, 64, 3, 2, 1, act=True),
            Squeeze(64, 32),
            Layer(64, 256, 3, 2, 1, act=False),
            Layer(256, 512, 6, 1, 0, act=False),
            nn.AdaptiveAvgPool2d(1),
            Layer(512, 128, 1, 1, 0, act=False),
        )

    def forward(self, temporal: torch.Tensor, spectral: torch.Tensor) -> torch.Tensor:
        pairs = zip(self.project, (temporal, spectral), strict=True)
        maps = [project(x).reshape(-1, 24, 24) for project, x in pairs]
        return self.body(torch.stack(maps, dim=1))[:, :, 0, 0]
