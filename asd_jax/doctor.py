"""What this machine has for asd_jax, on one screen: `python -m asd_jax.doctor`.

Versions, devices, the cache folder, other programs, and free disk. The exit status is 1 where
something is missing that training and scoring need; a line of its own then says what to do.
"""

import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from importlib import metadata

from asd_jax import __version__, commands, files, project
from asd_jax.errors import detail
from asd_jax.runs.provenance import SHOWN, version


def main(argv: Sequence[str]) -> int:
    """Prints the report; 1 if something that is needed is missing."""
    lacking = missing()
    rows = {
        "asd_jax": f"{__version__}, {os.path.dirname(os.path.abspath(__file__))}",
        "configs, launch": os.fspath(project.root()),
        "Python": f"{platform.python_version()}, {sys.executable}",
        "system": f"{platform.system()} {platform.machine()}, {os.cpu_count()} processors",
        "packages": ", ".join(f"{name} {version(name)}" for name in SHOWN),
        "devices": "not asked: packages are missing" if lacking else devices(),
        "cache": cache(),
        "ffmpeg": ffmpeg(),
        "free disk": f"{free(os.getcwd())} here, {free(files.cache_folder(''))} in the cache",
    }
    for name, value in rows.items():
        print(f"{name:16} {value}")
    if lacking:
        print(f"missing          {', '.join(lacking)}: pip install {' '.join(map(repr, lacking))}")
    return 1 if lacking else 0


def missing() -> list[str]:
    """The requirements of asd_jax that are not installed, as pip takes them; extras left out."""
    try:
        required = metadata.requires("asd_jax") or ()
    except metadata.PackageNotFoundError:  # run from a clone that is not installed
        required = SHOWN
    names = [text for text in required if "extra ==" not in text]
    return [text for text in names if version(re.split(r"[^\w.-]", text)[0]) == "missing"]


def devices() -> str:
    """Describes the devices that JAX uses, or why it has none."""
    commands.prepare_jax()
    try:
        import jax

        found = [device.device_kind for device in jax.devices()]
    except Exception as error:  # a driver that does not fit is what one calls the doctor for
        return f"none: {detail(error)}"
    hint = ""
    if jax.default_backend() == "cpu" and os.path.exists("/dev/nvidia0"):
        hint = "; there is an NVIDIA GPU: pip install 'asd_jax[cuda]'"
    return f"{len(found)} x {', '.join(dict.fromkeys(found))}{hint}"


def cache() -> str:
    """The cache folder, its size, and whether it can be written."""
    folder = files.cache_folder("")
    size = 0
    for place, _, names in os.walk(folder):
        size += sum(os.lstat(os.path.join(place, name)).st_size for name in names)
    state = (
        ""
        if os.access(files.existing(folder), os.W_OK)
        else ", CANNOT BE WRITTEN: set XDG_CACHE_HOME"
    )
    return f"{folder.rstrip('/')}, {size / 1e6:.0f} MB{state}"


def ffmpeg() -> str:
    """The version of ffmpeg, which only some kinds of recordings need."""
    path = shutil.which("ffmpeg")
    if not path:
        return "not here; wav, flac, ogg and mp3 need none"
    output = subprocess.run([path, "-version"], capture_output=True, text=True, check=False).stdout
    found = re.match(r"ffmpeg version (\S+)", output)
    return f"{found[1] if found else 'of an unknown version'}, {path}"


def free(folder: str) -> str:
    """The free space of the disk that a folder is on, or would be."""
    return f"{files.free_bytes(folder) / 1e9:.1f} GB"


if __name__ == "__main__":
    commands.run(main)
