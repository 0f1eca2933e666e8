"""What a notebook can ask of Colab: the user's Drive, files, and microphone.

Everything else works in any Jupyter; these say in one sentence where they don't.
"""

import base64
import importlib
import json
import os
import pathlib
import sys
import zipfile
from collections.abc import Iterator
from typing import Any

from asd_jax.errors import UserError

DRIVE = pathlib.Path("/content/drive")


def on_colab() -> bool:
    """Whether this is a notebook on Colab."""
    return "google.colab" in sys.modules


def lasting_folder(name: str) -> pathlib.Path:
    """A folder that outlives this machine: on the user's Drive on Colab, else `name` as it is.

    Args:
        name: such as 'asd_jax'; below My Drive on Colab, unless it is absolute.
    """
    folder = pathlib.Path(name).expanduser()
    if on_colab() and not folder.is_absolute():
        mount_drive()
        folder = DRIVE / "MyDrive" / folder
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def mount_drive() -> None:
    """Mounts the user's Drive at /content/drive, after a question by Colab."""
    if not (DRIVE / "MyDrive").exists():
        _ask("drive", "mount a Drive").mount(str(DRIVE))


def upload(folder: pathlib.Path) -> list[pathlib.Path]:
    """Asks for files and puts them into a folder; zips are unpacked there.

    Raises:
        UserError: this is not Colab, or nothing was chosen.
    """
    chosen = _ask("files", "ask for files").upload()
    if not chosen:
        raise UserError("no file was chosen; run the cell again and choose recordings or a zip.")
    folder.mkdir(parents=True, exist_ok=True)
    put = []
    for name, content in chosen.items():
        target = folder / pathlib.Path(name).name
        target.write_bytes(content)
        put.append(target)
        if zipfile.is_zipfile(target):
            with zipfile.ZipFile(target) as zipped:
                zipped.extractall(folder)
            target.unlink()
    return put


def record(folder: pathlib.Path, *, takes: int, seconds: float) -> Iterator[pathlib.Path]:
    """Records with the browser's microphone, take by take, each a 16-bit wav; yields its path.

    Echo cancelling, noise suppression and gain control are off: they would take the machine for
    noise. Takes that lie there already are kept, and the numbering goes on.

    Raises:
        UserError: this is not Colab, or the browser gave no sound.
    """
    from IPython.display import Javascript, display

    output = _ask("output", "record")
    script = (pathlib.Path(__file__).parent / "recorder.js").read_text(encoding="utf-8")
    folder.mkdir(parents=True, exist_ok=True)
    display(Javascript(script))
    begin = len(list(folder.glob("take_*.wav")))
    for number in range(begin, begin + takes):
        label = f"take {number - begin + 1} of {takes}"
        answer = output.eval_js(f"recordWav({seconds}, {json.dumps(label)})")
        if answer.startswith("error:"):
            raise UserError(f"the browser does not record ({answer.removeprefix('error:')}).")
        path = folder / f"take_{number:03d}.wav"
        path.write_bytes(base64.b64decode(answer))
        yield path


def hand_over(path: str | os.PathLike[str]) -> None:
    """Downloads a file to the user's computer on Colab; elsewhere it says where the file lies."""
    if on_colab():
        _ask("files", "download").download(os.fspath(path))
    print(f"{path}, {os.path.getsize(path) / 1e6:.1f} MB")


def _ask(module: str, purpose: str) -> Any:
    try:
        return importlib.import_module(f"google.colab.{module}")
    except ImportError as error:
        raise UserError(
            f"only Colab can {purpose} for a notebook; name a folder of recordings instead."
        ) from error
