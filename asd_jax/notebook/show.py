"""Sounds, spectrograms and reports in a notebook."""

import html
import os
import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from asd_jax.notebook.live import as_picture

RATE = 16000  # Hz
_TICKS = (250, 500, 1000, 2000, 4000, 8000)  # Hz
_RANGE = 60.0  # dB that a picture spans
_TITLE = 42  # characters


def listen(paths: Sequence[str], *, seconds: float = 10.0, across: int = 4) -> Any:
    """Plays recordings; returns a picture of their spectrograms, all on one scale of levels.

    Args:
        paths: audio files; the first channel is taken.
        seconds: that are played and shown of each.
        across: spectrograms in a row.

    Raises:
        asd_jax.data.decode.UnreadableError: one can't be read.
    """
    from IPython.display import HTML, Audio, display

    from asd_jax.data.decode import read_wave

    waves = [read_wave(p, sample_rate=RATE, channel=0)[: int(seconds * RATE)] for p in paths]
    for path, wave in zip(paths, waves, strict=True):
        # Not normalised: a machine that got louder shall sound louder.
        player = Audio(wave / np.float32(32768), rate=RATE, normalize=False)
        display(HTML(f"<b>{html.escape(name(path))}</b>"), player)
    return as_picture(spectrograms(waves, [name(path) for path in paths], across=across))


def name(path: str) -> str:
    """The last folders and the file of a recording: what a user knows it by."""
    return "/".join(pathlib.Path(path).parts[-4:])


def spectrograms(waves: Sequence[np.ndarray], titles: Sequence[str], *, across: int = 4) -> Any:
    """Log-mel spectrograms in dB of int16 waves `[samples]` at 16 kHz, as a matplotlib figure."""
    import jax.numpy as jnp
    from matplotlib.figure import Figure

    from asd_jax.features.logmel import LogMel, frame_times, log_mel, mel_frequencies, to_float

    spec = LogMel(sample_rate=RATE, n_mels=128, channels=("power",))
    levels = [
        np.asarray(log_mel(to_float(jnp.asarray(wave))[None], spec=spec))[0, :, :, 0]
        for wave in waves
    ]
    top = max(float(np.quantile(level, 0.999)) for level in levels)
    across = min(across, len(levels))
    down = -(-len(levels) // across)
    figure = Figure(figsize=(3.2 * across + 0.8, 2.6 * down), layout="constrained")
    panels = figure.subplots(down, across, squeeze=False, sharey=True).ravel()
    frequencies = mel_frequencies(spec)
    for axes, level, title in zip(panels, levels, titles, strict=False):
        end = frame_times(spec, level.shape[1])[-1]
        axes.imshow(
            level,
            origin="lower",
            aspect="auto",
            cmap="magma",
            vmin=top - _RANGE,
            vmax=top,
            extent=(0.0, end, 0, len(frequencies)),
        )
        # Its end, which tells recordings apart, as far as there is room above a panel.
        axes.set_title(title if len(title) <= _TITLE else f"…{title[1 - _TITLE :]}", fontsize=8)
        axes.set_xlabel("time, s")
        axes.set_yticks(np.searchsorted(frequencies, _TICKS), [f"{f / 1000:g}" for f in _TICKS])
    for axes in panels[len(levels) :]:
        axes.set_visible(False)
    for axes in panels[::across]:
        axes.set_ylabel("kHz")
    figure.colorbar(panels[0].images[0], ax=list(panels), label="dB", fraction=0.03)
    return figure


def report(workdir: str | os.PathLike[str], *, height: int = 800) -> Any:
    """The report of a finished run, in a frame of its own."""
    from IPython.display import HTML

    page = pathlib.Path(workdir, "report.html").read_text(encoding="utf-8")
    frame = f'<iframe srcdoc="{html.escape(page)}" width="100%" height="{height}"></iframe>'
    return HTML(f"<div>{frame}</div>")  # bare, IPython would advise a file, which Colab can't show
