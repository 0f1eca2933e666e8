import pathlib
from collections.abc import Callable, Iterable

import numpy as np
import pytest

from asd_jax.data.clips import Clip


@pytest.fixture
def touch(tmp_path: pathlib.Path) -> Callable[[Iterable[str]], pathlib.Path]:
    """Makes empty files below a folder: a clip table reads names only."""

    def make(names: Iterable[str]) -> pathlib.Path:
        root = tmp_path / "root"
        for name in names:
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        return root

    return make


@pytest.fixture
def write_wav() -> Callable[..., Clip]:
    """Writes a recording and returns it as a training clip."""
    import soundfile

    def write(path: pathlib.Path, wave: np.ndarray, rate: int = 1000, **options) -> Clip:
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, wave, rate, **options)
        return Clip(str(path), "fan", "00", "train", 0)

    return write
