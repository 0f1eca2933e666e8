"""The lines of the README files, run as they are written, each file's in one folder from above.

Programs, flags and files are real; the networks have a few weights (`tests/tiny_python.py`), the
recordings are noise of a second, and a training line gets flags that make it short (`SHORT`). What
is not run is in `NOT_RUN` with the reason, and `tests/test_readmes.py` still checks its flags.
"""

import os
import re
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import soundfile

from tests import readme_commands
from tests.live import machine
from tests.test_readmes import FILES, ROOT

NOT_RUN = {
    r"^python -m asd_jax\.fetch": "needs the servers; tests/data/test_download_command.py runs "
    "each line against one on loopback",
    r"^pip install": "changes the environment; CI installs the package and its extras",
    r"-m pytest": "is this",
    r"-m mkdocs": "needs the extra `docs`; CI runs the block with it",
    r"--config\.init_from=": "needs timm's weights; "
    "tests/recipes/pump_classifier/test_network.py draws some",
    r"-m launch\.plan": "needs the compilers of TPUs and GPUs; tests/launch/test_plan.py",
    r"-m tests\.benchmarks": "measures speed on a quiet machine; CI runs the gate",
    r"--on=slurm": "needs a cluster; tests/launch/test_slurm.py acts one",
    r"^(sky|gcloud) ": "needs a cloud",
    r"--devices=8": "needs eight accelerators; tests/launch/test_sweep.py has devices dealt out",
    r"--processes": "needs several hosts; tests/train/test_processes.py starts two processes",
}
STAGES = ("pretrain", "finetune", "temporal", "fusion")
# Flags that are put behind a training line of a recipe.
SHORT = {
    "ensemble": [
        *(f"--config.{stage}.epochs=0.5 --config.{stage}.batch_size=8" for stage in STAGES),
        "--config.data.clip_seconds=1.0 --config.features.n_mels=64",
        "--config.scoring.bootstrap=20",
    ],
    "pump_classifier": [
        *(f"--config.{stage}.epochs=0.5 --config.{stage}.batch_size=8" for stage in STAGES[:2]),
        "--config.data.clip_seconds=1.0 --config.features.size=32 --config.decision.bootstrap=20",
    ],
}
# Of the synthetic machines, where a line has no recordings of its own.
FEW = "--config.synthetic.normal=14 --config.synthetic.abnormal=4 --config.synthetic.seconds=1.0"
CELLS = ("network.attention=simam_cbam", "network.attention=se")  # of the sweep's 18, seed 0
# A heading at which a second test of a long file begins: nothing below it needs what is above.
PARTED = {"README.md": "## With labelled faults"}
ENDLESS = re.compile(r"--watch=|asd_jax\.monitor|asd-jax (watch|monitor)")  # runs until Ctrl-C
RATES = {"arecord": ("<i2", 1), "ffmpeg": ("<f4", 3)}  # sample format, times 16 kHz

pytestmark = pytest.mark.slow


def write(path, seed=0):
    """A second of a humming machine."""
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, machine.hum(seed=seed), machine.RATE)


def recordings(root):
    """What the lines name: folders of recordings in each layout."""
    number = 0
    names = [f"recordings/{k}.wav" for k in range(3)] + ["new.wav", "healthy/"]
    names += [f"{folder}/{k}.wav" for folder in ("healthy", "FOLDER", "DIR") for k in range(14)]
    for label, clips in (("normal", 14), ("abnormal", 4)):
        for k in range(clips):
            for snr in ("6dB", "0dB", "min6dB"):
                names += [f"mimii/{snr}/pump/id_0{m}/{label}/{k:08d}.wav" for m in (0, 2)]
    for use, label, clips in (
        ("train", "normal", 12),
        ("test", "normal", 3),
        ("test", "anomaly", 3),
    ):
        for k in range(clips):
            names += [f"dcase2020/fan/{use}/{label}_id_0{m}_{k:08d}.wav" for m in (0, 2)]
            folder, domain = ("source_test" if use == "test" else use), "source"
            section = f"section_0%d_{domain}_{use}_{label}_{k:04d}.wav"
            names += [f"mimii_due/fan/{folder}/{section % m}" for m in (0, 1)]
    for name in names:
        if name.endswith(".wav"):
            write(root / name, number)
            number += 1


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder with the project's, recordings, a detector, and stand-ins for other programs."""
    for name in ("asd_jax", "configs", "launch", "tests"):
        (tmp_path / name).symlink_to(ROOT / name)
    recordings(tmp_path)
    machine.detector().save(str(tmp_path / "RUN" / "detector"))
    programs = tmp_path / "bin"
    programs.mkdir()
    python = f'#!/bin/sh\nexec "{sys.executable}" -m tests.tiny_python "$@"\n'
    scripts = {"python": python, "asd-jax": '#!/bin/sh\nexec python -m asd_jax "$@"\n'}
    for name, (kind, times) in RATES.items():
        sound = np.tile(machine.hum(3.0 * times), 1).astype(kind)
        (programs / f"{name}.pcm").write_bytes((sound / 32768 if times > 1 else sound).astype(kind))
        scripts[name] = f'#!/bin/sh\ncat "{programs / name}.pcm"\n'
    for name, text in scripts.items():
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("TINY_PYTHON", str(programs / "python"))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("XLA_FLAGS", "")
    return tmp_path


def shortened(line):
    """A line with its placeholders filled and, if it trains, with the flags of `SHORT`."""
    found = re.search(r"--config=(?:configs/)?(\w+)(?:\.py)?:?(\w*)", line)
    swept = re.search(r"launch\.sweep|asd-jax sweep", line)
    if swept and "--on=sky" not in line:
        found = re.search(r"()(sun)_table", line)
    if not found or not (swept or re.search(r"asd_jax\.main|asd-jax train", line)):
        return line
    recipe, source = found[1] or "pump_classifier", found[2]
    line = line.replace("=DIR", f"={source}")
    more = list(SHORT[recipe])
    if "--config.data.root" not in line:
        more.append(FEW)
    if swept:
        more += [f"--cell={cell},seed=0,split.seed=0" for cell in CELLS]
    return " ".join([line, *more])


def run(line, folder):
    """Runs a line by bash; one that does not end is stopped by Ctrl-C when it has said something.

    Returns:
        Exit status and all that it said.
    """
    log = folder / "log"
    with open(log, "w") as file:
        shell = subprocess.Popen(
            ["bash", "-o", "pipefail", "-c", line],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        deadline = time.monotonic() + 240
        while shell.poll() is None and time.monotonic() < deadline:
            time.sleep(0.2)
            if ENDLESS.search(line) and log.stat().st_size:
                time.sleep(1.0)
                os.killpg(shell.pid, signal.SIGINT)
                break
        try:
            status = shell.wait(timeout=60)
        except subprocess.TimeoutExpired:
            os.killpg(shell.pid, signal.SIGKILL)
            status = shell.wait()
    return status, log.read_text(errors="replace")


def lines_of(text):
    """The lines of the bash blocks: continued ones joined, lists parted, comments left out."""
    for block in readme_commands.blocks_of(text):
        for line in block.replace("\\\n", " ").splitlines():
            line = re.sub(r"\s+#.*", "", line).strip()
            yield from filter(None, (part.strip() for part in line.split("&&")))


def why_not(line):
    """The reason of `NOT_RUN`, or ""."""
    return next((why for what, why in NOT_RUN.items() if re.search(what, line)), "")


def parts_of(file):
    """The texts that are a test each, by name."""
    text, name = file.read_text("utf-8"), str(file.relative_to(ROOT))
    if name not in PARTED:
        return {name: text}
    first, heading, second = text.partition(PARTED[name])
    assert heading
    return {f"{name}, first part": first, f"{name}, second part": second}


TEXTS = {name: text for file in FILES for name, text in parts_of(file).items()}
RUN = [name for name, text in TEXTS.items() if any(not why_not(line) for line in lines_of(text))]


@pytest.mark.parametrize("name", RUN)
def test_the_lines_of_a_readme_run_as_they_are_written(name, place):
    lines = [line for line in lines_of(TEXTS[name]) if not why_not(line)]
    for line in lines:
        status, said = run(shortened(line), place)
        assert status == 0 and "Traceback" not in said, f"{line}\n{said[-3000:]}"


def test_the_python_of_a_readme_runs(place):
    """Of the top level and of deploy, whose `wave` is a batch of clips."""
    for kind in ("onnx", "stablehlo"):
        line = f"python -m asd_jax.export --detector=RUN/detector --output=detector.{kind}"
        status, said = run(line, place)
        assert status == 0, said
    wave = "import numpy\nwave = numpy.zeros((2, 16000), numpy.float32)\n"
    ran = 0
    for name, before in (("README.md", ""), ("asd_jax/deploy/README.md", wave)):
        text = (ROOT / name).read_text("utf-8")
        for block in re.findall(r"^```python\n(.*?)^```$", text, re.DOTALL | re.MULTILINE):
            (place / "block.py").write_text(before + block)
            status, said = run("python block.py", place)
            assert status == 0 and "Traceback" not in said, f"{block}\n{said[-3000:]}"
            ran += 1
    assert ran == 3


def test_every_reason_not_to_run_a_line_is_needed():
    lines = [line for file in FILES for line in lines_of(file.read_text("utf-8"))]
    idle = [what for what in NOT_RUN if not any(re.search(what, line) for line in lines)]
    assert not idle
