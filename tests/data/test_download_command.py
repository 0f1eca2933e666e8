"""`python -m asd_jax.fetch` and its user: errors, licence, a kill, the READMEs' commands."""

import dataclasses
import hashlib
import os
import pathlib
import re
import shlex
import signal
import subprocess
import sys
import time

import pytest
from absl import flags
from absl.testing import flagsaver

from asd_jax import fetch
from asd_jax.data.clips import read_clips
from asd_jax.data.download.records import DATA_SETS, TruthList
from asd_jax.errors import UserError
from tests.data.fetching import Terminal, dcase_zip, md5, mimii_zip


@pytest.mark.parametrize(
    ("name", "settings", "said"),
    [
        (None, {}, "give one data set of mimii"),
        ("dcase1999", {}, "not dcase1999"),
        ("mimii", {"machines": ["engine"]}, "--machines names 'engine'; mimii has fan, pump"),
        ("mimii", {"snr": ["3"]}, "--snr names '3'; mimii has -6, 0, 6"),
        ("mimii", {"parts": ["dev"]}, "--parts is not for mimii"),
        ("dcase2020", {"snr": ["0"]}, "--snr is for mimii only"),
        ("dcase2020", {"parts": ["train"]}, "--parts names 'train'; dcase2020 has dev, additional"),
        ("dcase2023", {"machines": ["shaker"]}, "dcase2023 has no shaker in dev"),
        ("mimii", {"mirror": "ftp://x"}, "--mirror=ftp://x is not an address"),
    ],
)
def test_what_a_user_gets_wrong_is_one_sentence(command, server, name, settings, said):
    with pytest.raises(UserError, match=said):
        command(name, **settings)
    assert not server.requests


def test_a_licence_that_is_not_accepted_is_refused(command, server, tmp_path, monkeypatch, capsys):
    for answer, said in ((None, "pass --accept_licence"), ("n\n", "nothing was downloaded")):
        monkeypatch.setattr(sys, "stdin", Terminal(answer))
        with pytest.raises(UserError, match=said):
            command("dcase2022", machines=["bearing"], accept_licence=False)
    assert "not for commercial use" in capsys.readouterr().err
    assert not server.requests and not (tmp_path / "data").exists()
    monkeypatch.setattr(sys, "stdin", Terminal("y\n"))
    content = dcase_zip(tmp_path)
    server.publish(6355122, {"dev_bearing.zip": (content, md5(content))})
    assert command("dcase2022", machines=["bearing"], accept_licence=False) == 0


def test_a_folder_holds_one_data_set_and_one_fetch(command, server, mimii, tmp_path):
    from asd_jax.data.download.manifest import alone_in

    command("mimii", machines=["fan"])
    with pytest.raises(UserError, match="holds mimii; give dcase2022 another --dir"):
        command("dcase2022")
    with alone_in(tmp_path / "data"), pytest.raises(UserError, match="another fetch is at work"):
        command("mimii", machines=["pump"])
    (tmp_path / "data" / "fetch.json").write_text("{")
    with pytest.raises(UserError, match=r"fetch.json can't be read"):
        command("mimii", machines=["pump"])


def test_killed_in_the_middle_the_same_command_goes_on(server, tmp_path):
    """The real command, killed without warning: first in a download, then in an unpacking."""
    content = dcase_zip(tmp_path, sections=[f"{k:02d}" for k in range(20)])
    assert len(content) > 10 << 16
    server.publish(6355122, {"dev_bearing.zip": (content, md5(content))})
    root = tmp_path / "my data"
    line = [sys.executable, "-m", "asd_jax.fetch", "dcase2022", "--machines=bearing"]
    line += [f"--dir={root}", "--accept_licence"]
    environment = {**os.environ, "ASD_JAX_MIRROR": server.url}
    server.drip = 0.1
    part = root / "archives" / "dev_bearing.zip.part"
    first = subprocess.Popen(line, env=environment, stderr=subprocess.PIPE)
    _until(lambda: part.exists() and part.stat().st_size >= 1 << 16)
    first.send_signal(signal.SIGKILL)
    first.communicate()
    server.drip = 0.0
    kept = part.stat().st_size
    second = subprocess.Popen(line, env=environment, stderr=subprocess.PIPE)
    _until(lambda: any((root / "dev_data").rglob("*.wav")) or second.poll() is not None)
    second.send_signal(signal.SIGKILL)
    second.communicate()
    assert server.ranges("dev_bearing.zip")[1] == f"bytes={kept}-"
    third = subprocess.run(line, env=environment, capture_output=True, text=True)
    assert third.returncode == 0 and "Traceback" not in third.stderr, third.stderr
    assert f"--config.data.root='{root}'" in third.stdout
    assert len(server.ranges("dev_bearing.zip")) == 2
    assert len(read_clips("dcase2022", root, use_additional=True)) == 180


def _until(done, seconds=20.0):
    end = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < end
        time.sleep(0.002)


PROJECT = pathlib.Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("readme", ["README.md", "asd_jax/data/README.md"])
def test_the_commands_of_a_readme_run(server, tmp_path, monkeypatch, readme):
    if not flags.FLAGS.is_parsed():
        flags.FLAGS(["test"])
    _shrink_every_data_set(server, tmp_path, monkeypatch)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "stdin", Terminal("y\n"))
    text = (PROJECT / readme).read_text(encoding="utf-8")
    commands = re.findall(r"^python -m asd_jax\.fetch (.+)$", text, re.MULTILINE)
    assert len(commands) > 2
    for command in commands:
        words = shlex.split(command)
        given = [word.removeprefix("--") for word in words if word.startswith("--")]
        given = dict(word.split("=", 1) if "=" in word else (word, "true") for word in given)
        with flagsaver.as_parsed(mirror=server.url, **given):
            assert fetch.main(["fetch", *(w for w in words if not w.startswith("--"))]) == 0


def _shrink_every_data_set(server, tmp_path, monkeypatch):
    truth = b"fan\n"
    for name, data in list(DATA_SETS.items()):
        small = []
        for archive in data.archives:
            # A zip holds the time of its making, and two data sets may have an archive in common.
            content = server.files.setdefault(
                f"/{archive.path}", mimii_zip(tmp_path, archive.machine, (1, 1), 400)[0]
            )
            small.append(dataclasses.replace(archive, size=len(content), md5=md5(content)))
        lists = [TruthList(t.name, hashlib.sha256(truth).hexdigest()) for t in data.lists]
        server.files.update({f"/{t.path}": truth for t in lists})
        fields = {"archives": tuple(small), "lists": tuple(lists)}
        monkeypatch.setitem(DATA_SETS, name, dataclasses.replace(data, **fields))


def test_help_and_refusals_come_at_once_and_without_jax():
    program = "import sys, asd_jax.fetch; print('jax' in sys.modules, 'requests' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.split() == ["False", "False"]
    line = [sys.executable, "-m", "asd_jax.fetch", "mimii", "--dir=/nowhere"]
    done = subprocess.run(line, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert done.stderr.splitlines()[-1].startswith("error: the licence of MIMII")
