"""The waveform network of asd_jax/models/temporal.py in PyTorch, layer by layer."""

import torch
from torch import nn

# (expansion, channels of the result, stride) of each block
BLOCKS = (
    (3, 32, 1),
    (3, 32, 2),
    (3, 32, 2),
    (2, 64, 3),
    (2, 128, 2),
    (2, 256, 1),
    (2, 256, 2),
    (2, 256, 2),
    (2, 256, 2),
    (2, 256, 1),
)


class Layer(nn.Module):
    """Convolution, BatchNorm, LeakyReLU."""

    def __init__(self, flat: bool, c_in: int, c_out: int, kernel: int = 1, **options: int) -> None:
        super().__init__()
        stride, padding = options.get("stride", 1), options.get("padding", 0)
        groups = options.get("groups", 1)
        if flat:
            self.conv = nn.Conv1d(c_in, c_out, kernel, stride, padding, groups=groups, bias=False)
            self.norm = nn.BatchNorm1d(c_out)
        else:
            sizes = ((1, kernel), (1, stride), (0, padding))
            self.conv = nn.Conv2d(c_in, c_out, *sizes, groups=groups, bias=False)
            self.norm = nn.BatchNorm2d(c_out)
        self.act = nn.LeakyReLU(0.01, inplace=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.act(self.norm(self.conv(x)))


class Block(nn.Module):
    """Inverted residual: 1, depthwise 3, 1."""

    def __init__(self, flat: bool, c_in: int, expand: int, c_out: int, stride: int) -> None:
        super().__init__()
        wide = expand * c_in
        self.body = nn.Sequential(
            Layer(flat, c_in, wide),
            Layer(flat, wide, wide, 3, stride=stride, padding=1, groups=wide),
            Layer(flat, wide, c_out),
        )
        self.shortcut = stride == 1 and c_in == c_out

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.body(x)
        return x + y if self.shortcut else y


class Temporal(nn.Module):
    """`[batch, samples]` to `[batch, dim]`; as Conv1d, or as Conv2d of height 1 in a layout."""

    def __init__(self, dim: int, *, two_dimensional: bool, layout: str) -> None:
        super().__init__()
        self.flat = not two_dimensional
        self.layout = torch.channels_last if layout == "channels_last" else torch.contiguous_format
        layers = [Layer(self.flat, 1, 16, 256, stride=128, padding=64)]
        channels = 16
        for expand, out, stride in BLOCKS:
            layers.append(Block(self.flat, channels, expand, out, stride))
            channels = out
        self.layers = nn.Sequential(*layers, Layer(self.flat, channels, dim))
        self.norm = nn.BatchNorm1d(dim, affine=False)
        if not self.flat:
            self.to(memory_format=self.layout)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.flat:
            return self.norm(self.layers(x[:, None]).mean(dim=2))
        x = x[:, None, None].contiguous(memory_format=self.layout)
        return self.norm(self.layers(x).mean(dim=(2, 3)))
