"""The readers of what may come from anywhere: bytes in, an answer or a UserError out."""

import contextlib
import functools
import io
import json
import os
import pathlib
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from typing import NamedTuple
from unittest import mock

import jaxtyping
import numpy as np
import safetensors.numpy
import soundfile

from asd_jax.data import quality
from asd_jax.data.clips import read_clips
from asd_jax.data.decode import Recording, recording_seconds
from asd_jax.data.download import extract, manifest, responses
from asd_jax.data.download.responses import Patience
from asd_jax.detector import load_detector
from asd_jax.detector_folder import LARGEST, read_folder, write_folder
from asd_jax.errors import UserError
from asd_jax.live.alarm import Rule
from asd_jax.models.pretrained import load_safetensors
from asd_jax.naming import cell, printable, text_of_cell
from asd_jax.recipes.ensemble import networks
from asd_jax.report.files import read_results, read_scores, write_scores
from asd_jax.train.metrics_log import MetricsLog
from tests.recipes import tiny


class Target(NamedTuple):
    """A reader and what it should be given first."""

    run: Callable[[bytes], None]
    seeds: Callable[[], list[bytes]]


def in_file(name: str, read: Callable[[pathlib.Path], object]) -> Callable[[bytes], None]:
    """Feeds the bytes through a file of this name."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="fuzz"))

    def run(data: bytes) -> None:
        (folder / name).write_bytes(data)
        allowed(lambda: read(folder / name))

    return run


def allowed(read: Callable[[], object]) -> None:
    """Passes over the one error that a user may see, if it is a sentence on one line."""
    try:
        read()
    except UserError as error:
        assert "\n" not in printable(error) and str(error).strip()


@contextlib.contextmanager
def small() -> Iterator[None]:
    """Networks of a few weights meanwhile, and no check of shapes: damage has any."""
    jaxtyping.config.update("jaxtyping_disable", True)
    with mock.patch.object(networks, "build", tiny.build):
        yield
    jaxtyping.config.update("jaxtyping_disable", False)


@functools.cache
def _detector() -> tuple[pathlib.Path, dict, dict]:
    """A detector's folder and what is in it."""
    from tests.deploy import detectors

    folder = pathlib.Path(tempfile.mkdtemp(prefix="fuzz"))
    detectors.ensemble().save(str(folder))
    return (folder, *read_folder(str(folder)))


def forged_settings(data: bytes) -> None:
    """detector.json as somebody else wrote it, with a hash that fits."""
    folder, _, arrays = _detector()
    try:
        about = json.loads(data)
    except (ValueError, RecursionError):
        return
    if isinstance(about, dict):
        try:
            write_folder(str(folder), {k: v for k, v in about.items() if k != "format"}, arrays)
        except (TypeError, RecursionError):
            return  # no JSON of ours
        allowed(lambda: load_detector(str(folder)))


def forged_arrays(data: bytes) -> None:
    """arrays.npz of anybody, with a detector.json of before there was a hash."""
    folder, about, _ = _detector()
    (folder / "arrays.npz").write_bytes(data[: LARGEST["arrays.npz"]])
    (folder / "detector.json").write_text(json.dumps({**about, "format": 3}))
    allowed(lambda: load_detector(str(folder)))


def _npz() -> list[bytes]:
    small, file = {f"a/{k}": np.ones(k, "f4") for k in range(3)}, io.BytesIO()
    np.savez(file, **small)
    folder, about, arrays = _detector()
    write_folder(str(folder), about, arrays)
    return [file.getvalue(), (folder / "arrays.npz").read_bytes()]


def archive(data: bytes) -> None:
    """An archive of recordings."""
    with tempfile.TemporaryDirectory(prefix="fuzz") as name:
        folder = pathlib.Path(name)
        (folder / "x.zip").write_bytes(data)
        for mono in (False, True):
            allowed(lambda m=mono: extract.unpack(folder / "x.zip", folder / "out", "fan", mono=m))
        assert not list(folder.rglob("*.tmp"))
        assert {path.name for path in folder.iterdir()} <= {"x.zip", "out"}


def _zips() -> list[bytes]:
    found = []
    for how in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        wav, file = io.BytesIO(), io.BytesIO()
        soundfile.write(wav, np.zeros((50, 8), "i2"), 16000, format="WAV")
        with zipfile.ZipFile(file, "w", how) as zipped:
            zipped.writestr("fan/id_00/normal/0.wav", wav.getvalue())
            zipped.writestr("fan/a.csv", b"x")
        found.append(file.getvalue())
    return found


def recording(data: bytes) -> None:
    """A recording of any format, whatever its name says."""
    path = os.path.join(_folder(), "a.wav")
    with open(path, "wb") as file:
        file.write(data)
    for channel in (0, "mean"):
        allowed(lambda c=channel: _heard(path, c))
    allowed(lambda: recording_seconds(path))


@functools.cache
def _folder() -> str:
    return tempfile.mkdtemp(prefix="fuzz")


def _heard(path: str, channel: int | str) -> None:
    partial = channel == "mean"  # as scoring reads; learning does not
    sound = Recording(path, sample_rate=16000, channel=channel, longest=0.01, partial=partial)
    for wave in sound.blocks():
        assert wave.dtype == np.int16 and wave.ndim == 1
    assert sound.rate and sound.flags <= set(quality.MEANINGS)


def _recordings() -> list[bytes]:
    found, sound = [], np.random.default_rng(0).standard_normal((400, 2)) / 8
    kinds = ["WAV", "AIFF", "AU", "CAF", "W64", "RF64", "WAVEX", "FLAC", "OGG", "MP3"]
    for kind in kinds:
        for subtype in soundfile.available_subtypes(kind):
            try:
                soundfile.write(file := io.BytesIO(), sound, 16000, subtype, format=kind)
            except (RuntimeError, ValueError):  # a pair that libsndfile lists and cannot write
                continue
            found.append(file.getvalue())
    return found


LAYOUTS = ("mimii", "dcase2020", "dcase2021", "dcase2023", "mimii_due", "folder")


def names(data: bytes) -> None:
    """Files of these names, one a line, as any data set."""
    with tempfile.TemporaryDirectory(prefix="fuzz") as folder:
        for line in data.split(b"\n")[:8]:
            parts = [part for part in line.split(b"/") if part.strip(b".\0")][:5]
            if not parts or b"\0" in line:
                continue
            path = os.path.join(os.fsencode(folder), *parts)
            try:
                os.makedirs(os.path.dirname(path), exist_ok=True)
                with open(path, "wb"):
                    pass
            except OSError:
                continue
        for layout in LAYOUTS:
            allowed(lambda layout=layout: [clip.name for clip in read_clips(layout, folder)])


def _names() -> list[bytes]:
    return [
        b"fan/id_00/normal/00000000.wav\nfan/id_00/abnormal/00000001.wav",
        b"-6_dB_fan/fan/id_02/normal/1.wav",
        b"ToyCar/train/normal_id_01_00000000.wav\nToyCar/test/anomaly_id_01_00000001.wav",
        b"bearing/train/section_00_source_train_normal_0000_vel_1.wav",
        b"bearing/test/section_03_source_test_0000.wav\nbearing/attributes_00.csv",
        b"pump1/gesund/a.wav\npump1/defekt/\xff\x1b.wav",
    ]


def text(data: bytes) -> None:
    """What is read from small texts: flags, headers, names."""
    given = data.decode("utf-8", "surrogateescape")
    assert text_of_cell(cell(given)) == given
    assert "\n" not in printable(given) and "\x1b" not in printable(given)
    allowed(lambda: Rule.parse(given, 5))
    latin = data.decode("latin-1")
    keys = ("Content-Length", "Content-Range", "Retry-After", "X-RateLimit-Reset")
    for status in (200, 206, 429, 500):
        answer = type("Answer", (), {"status_code": status, "headers": dict.fromkeys(keys, latin)})
        try:
            responses.refuse("http://x", answer, Patience())
            responses.span(answer, 0)
        except (UserError, responses.TroubleError):
            pass


def _scores() -> list[bytes]:
    with tempfile.TemporaryDirectory(prefix="fuzz") as folder:
        path = os.path.join(folder, "a.csv")
        row = {"path": "=a", "machine_type": "fan", "machine_id": "00", "score": 1.5}
        write_scores(path, [row | {"score_early_layers": 2.0, "threshold": 1.0, "decision": 1}])
        return [pathlib.Path(path).read_bytes()]


def _weights() -> list[bytes]:
    return [safetensors.numpy.save({"a.weight": np.ones((2, 3), "f4"), "b": np.zeros(0, "i8")})]


TARGETS = {
    "settings": Target(forged_settings, lambda: [json.dumps(_detector()[1]).encode()]),
    "arrays": Target(forged_arrays, _npz),
    "weights": Target(in_file("a.safetensors", load_safetensors), _weights),
    "archive": Target(archive, _zips),
    "recording": Target(recording, _recordings),
    "names": Target(names, _names),
    "text": Target(text, lambda: [b"3/5", b"bytes 0-9/10", b"=1+1", b"\\x1b", b"120"]),
    "scores": Target(in_file("scores.csv", read_scores), _scores),
    "results": Target(in_file("results.json", read_results), lambda: [b'{"mean": {"auc": 0.5}}']),
    "log": Target(
        in_file("metrics.jsonl", lambda path: MetricsLog(str(path)).read()),
        lambda: [b'{"stage": "pretrain", "step": 1}\n'],
    ),
    "manifest": Target(
        in_file(manifest.NAME, lambda path: manifest.Manifest(path.parent).done("a.zip")),
        lambda: [b'{"data": "mimii", "archives": {"a.zip": {"folders": {"x": 1}}}}'],
    ),
}
