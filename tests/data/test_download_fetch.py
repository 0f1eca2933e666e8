"""`python -m asd_jax.fetch`: from a server to folders that the readers read."""

import dataclasses
import hashlib
import json
import os
import pathlib
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import soundfile
from absl import flags
from absl.testing import flagsaver

from asd_jax import fetch
from asd_jax.data.clips import read_clips
from asd_jax.data.decode import read_wave
from asd_jax.data.download import disk, job, records, source
from asd_jax.data.download.records import DATA_SETS, Archive, DataSet, TruthList
from asd_jax.data.download.responses import Patience
from asd_jax.errors import UserError
from tests.data import server as bad
from tests.data.test_download_extract import eight_channels, wav, zipped


def md5(data: bytes) -> str:
    return hashlib.md5(data).hexdigest()


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "*")
    with bad.serving() as server:
        yield server


@pytest.fixture
def command(server, tmp_path, monkeypatch):
    """Runs the command in this process; the folder is tmp_path/data."""
    if not flags.FLAGS.is_parsed():
        flags.FLAGS(["test"])
    patience = Patience(connect=2, read=0.5, attempts=2, sleep=lambda _: None)
    monkeypatch.setattr(source.Source, "__init__", _with(source.Source.__init__, patience))

    def run(name, **settings):
        settings = {"dir": str(tmp_path / "data"), "accept_licence": True, **settings}
        with flagsaver.flagsaver(**{"mirror": server.url, **settings}):
            return fetch.main(["fetch", name] if name else ["fetch"])

    return run


def _with(init, patience):
    return lambda self, mirror="": init(self, mirror, patience)


def mimii_zip(tmp_path, machine="fan", counts=(6, 3), samples=4000):
    """An archive as MIMII's: two IDs, some normal and abnormal clips each, eight channels."""
    members, sounds = {}, {}
    for machine_id in ("id_00", "id_02"):
        for label, count in zip(("normal", "abnormal"), counts, strict=True):
            for k in range(count):
                name = f"{machine}/{machine_id}/{label}/{k:08d}.wav"
                sounds[name] = eight_channels(len(sounds), samples)
                members[name] = wav(sounds[name], "WAVEX")
    return zipped(tmp_path / f"{machine}.zip", members).read_bytes(), sounds


@pytest.fixture
def mimii(server, tmp_path, monkeypatch):
    """MIMII with small archives in place of its twelve, and the sounds in one of them."""
    small, sounds = [], {}
    for archive in DATA_SETS["mimii"].archives:
        content, sounds[archive.machine] = mimii_zip(tmp_path, archive.machine)
        server.files[f"/{archive.path}"] = content
        fields = {**vars(archive), "size": len(content), "md5": md5(content)}
        small.append(Archive(**fields))
    data = DataSet("mimii", "MIMII", "CC BY-SA 4.0", tuple(small))
    monkeypatch.setitem(DATA_SETS, "mimii", data)
    return sounds


def dcase_zip(tmp_path, machine="bearing", sections=("00",)):
    members = {f"{machine}/attributes_00.csv": b"file_name\n"}
    for section in sections:
        for split, domain, label, count in (
            ("train", "source", "normal", 4),
            ("train", "target", "normal", 1),
            ("test", "source", "anomaly", 2),
            ("test", "target", "normal", 2),
        ):
            for k in range(count):
                name = f"section_{section}_{domain}_{split}_{label}_{k:04d}_vel_1.wav"
                members[f"{machine}/{split}/{name}"] = wav(eight_channels(k)[:, :1])
    return zipped(tmp_path / f"{machine}.zip", members).read_bytes()


def test_mimii_is_read_as_it_was_fetched(command, server, mimii, tmp_path, capsys):
    assert command("mimii", machines=["fan", "pump"]) == 0
    root = tmp_path / "data"
    clips = read_clips("mimii", root, snr=("0",))
    assert {clip.group for clip in clips} == {
        (machine, machine_id) for machine in ("fan", "pump") for machine_id in ("00", "02")
    }
    assert len(clips) == 36 and {clip.snr for clip in clips} == {"0"}
    for name, sound in mimii["fan"].items():
        np.testing.assert_array_equal(read_wave(root / "0dB" / name), sound[:, 0])
        assert soundfile.info(root / "0dB" / name).channels == 1
    assert sorted(os.listdir(root)) == [".fetch.lock", "0dB", "fetch.json"]  # the zips are gone
    said = capsys.readouterr()
    assert f"--config=configs/ensemble.py:mimii --config.data.root={root}" in said.out
    assert "CC BY-SA 4.0" in said.err
    left = r"\d\d:\d\d<\d\d:\d\d"  # tqdm: time spent, time left
    for work in ("0_dB_fan.zip", "unpacking 0_dB_fan.zip"):
        assert re.search(rf"[\r\n]{re.escape(work)}: 100%.*\[{left}", said.err)
    before = len(server.requests)
    command("mimii", machines=["fan"], accept_licence=False)  # done, and accepted
    assert len(server.requests) == before


@pytest.mark.parametrize("level", ["-6", "6"])
def test_the_other_noise_levels_keep_their_folders(command, mimii, tmp_path, level, capsys):
    command("mimii", machines=["valve"], snr=[level])
    clips = read_clips("mimii", tmp_path / "data", snr=(level,))
    assert len(clips) == 18 and {clip.snr for clip in clips} == {level}
    assert f"--config.data.snr=\"('{level}',)\"" in capsys.readouterr().out


def test_what_was_fetched_goes_through_the_recipe(command, mimii, tmp_path, monkeypatch):
    from asd_jax.recipes import corpus, settings
    from configs import ensemble

    command("mimii", machines=["fan"])
    config = ensemble.get_config("mimii")
    config.data.root = str(tmp_path / "data")
    config.data.cache = str(tmp_path / "cache")
    config.data.clip_seconds = 0.25
    loaded = corpus.load(settings.from_config(settings.Ensemble, config.to_dict()), progress=False)
    assert loaded.groups == (("fan", "00"), ("fan", "02"))
    assert len(loaded.training) and len(loaded.test)


# asd_jax.main with networks of a few weights
MAIN = """
from asd_jax import commands, main
from asd_jax.recipes import networks
from tests.recipes import tiny

networks.build = tiny.build
commands.run(main.main)
"""
SHORT = """--config.features.n_mels=64 --config.scoring.bootstrap=50 --config.data.clip_seconds=1
--config.pretrain.epochs=0.5 --config.finetune.epochs=0.5 --config.temporal.epochs=0.5
--config.fusion.epochs=0.5 --config.pretrain.batch_size=8 --config.finetune.batch_size=8
--config.temporal.batch_size=8 --config.fusion.batch_size=8"""


@pytest.mark.slow
def test_the_command_that_is_printed_trains_and_evaluates(
    command, server, mimii, tmp_path, monkeypatch, capsys
):
    content, _ = mimii_zip(tmp_path, "fan", (14, 4), 16000)
    (archive,) = (a for a in DATA_SETS["mimii"].archives if a.name == "0_dB_fan.zip")
    fan = Archive(**{**vars(archive), "size": len(content), "md5": md5(content)})
    monkeypatch.setitem(DATA_SETS, "mimii", DataSet("mimii", "MIMII", "CC BY-SA 4.0", (fan,)))
    server.files[f"/{fan.path}"] = content
    command("mimii")
    line = shlex.split(capsys.readouterr().out.splitlines()[-1])
    assert line[:3] == ["python", "-m", "asd_jax.main"]
    line = [sys.executable, "-c", MAIN, *line[3:], *SHORT.split(), f"--workdir={tmp_path / 'run'}"]
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path / "cache")}
    done = subprocess.run(line, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    results = json.loads((tmp_path / "run" / "results.json").read_text())
    groups = {(group["machine_type"], group["machine_id"]) for group in results["groups"]}
    assert groups == {("fan", "00"), ("fan", "02")}


def test_archives_are_kept_on_request_and_unpacked_without_the_server(
    command, server, mimii, tmp_path
):
    command("mimii", machines=["fan"], keep_archives=True)
    root = tmp_path / "data"
    assert os.listdir(root / "archives") == ["0_dB_fan.zip"]
    shutil.rmtree(root / "0dB" / "fan" / "id_02")
    server.files.clear()
    command("mimii", machines=["fan"])
    assert len(read_clips("mimii", root)) == 18
    assert not (root / "archives").exists()


def test_an_archive_put_there_by_hand_is_checked(command, server, mimii, tmp_path):
    folder = tmp_path / "data" / "archives"
    folder.mkdir(parents=True)
    (folder / "0_dB_fan.zip").write_bytes(b"something else")
    with pytest.raises(UserError, match="is not the published file"):
        command("mimii", machines=["fan"])
    name = "/records/3384388/files/0_dB_fan.zip"
    (folder / "0_dB_fan.zip").write_bytes(server.files.pop(name))
    command("mimii", machines=["fan"])
    assert len(read_clips("mimii", tmp_path / "data")) == 18


def test_dcase_takes_hash_and_size_from_the_record(command, server, tmp_path):
    content = dcase_zip(tmp_path)
    server.publish(6355122, {"dev_bearing.zip": (content, md5(content))})
    command("dcase2022", machines=["bearing"])
    clips = read_clips("dcase2022", tmp_path / "data")
    assert sorted({(c.split, c.domain, c.label) for c in clips}) == [
        ("test", "source", 1),
        ("test", "target", 0),
        ("train", "source", 0),
        ("train", "target", 0),
    ]
    notes = json.loads((tmp_path / "data" / "fetch.json").read_text())["archives"]
    assert notes["dev_bearing.zip"]["hash"] == f"md5:{md5(content)}"
    assert (tmp_path / "data" / "dev_data" / "bearing" / "attributes_00.csv").exists()


def test_a_wrong_hash_of_the_record_is_refused(command, server, tmp_path):
    server.publish(6355122, {"dev_bearing.zip": (dcase_zip(tmp_path), md5(b"else"))})
    with pytest.raises(UserError, match="wrong checksum"):
        command("dcase2022", machines=["bearing"])
    assert not (tmp_path / "data" / "dev_data").exists()


def test_without_a_published_hash_the_first_one_holds(command, server, tmp_path, capsys):
    name, content = "/records/6355122/files/dev_bearing.zip", dcase_zip(tmp_path)
    server.files[name] = content
    command("dcase2022", machines=["bearing"])
    assert "no checksum is published" in capsys.readouterr().err
    shutil.rmtree(tmp_path / "data" / "dev_data" / "bearing" / "train")
    server.files[name] = dcase_zip(tmp_path, sections=("00", "01"))
    with pytest.raises(UserError, match=f"wrong checksum .not md5:{md5(content)}"):
        command("dcase2022", machines=["bearing"])
    server.files[name] = content
    command("dcase2022", machines=["bearing"])
    assert len(read_clips("dcase2022", tmp_path / "data")) == 9


def test_a_damaged_archive_is_deleted_and_its_hash_forgotten(command, server, tmp_path):
    name, content = "/records/6355122/files/dev_bearing.zip", dcase_zip(tmp_path)
    server.files[name] = content[: len(content) // 2]
    with pytest.raises(UserError, match=r"damaged.*deleted, and the same command gets it anew"):
        command("dcase2022", machines=["bearing"])
    server.files[name] = content
    command("dcase2022", machines=["bearing"])
    assert len(read_clips("dcase2022", tmp_path / "data")) == 9


def test_a_record_without_the_file_is_named(command, server):
    server.publish(6355122, {"dev_other.zip": (b"", md5(b""))})
    with pytest.raises(UserError, match=r"record 6355122 has no dev_bearing.zip; it has dev_other"):
        command("dcase2022", machines=["bearing"])


def test_all_parts_with_the_labels_of_the_test_clips(command, server, tmp_path, monkeypatch):
    truth = b"bandsaw\nsection_00_0000.wav,section_00_target_test_anomaly_0000_vel_2.wav\n"
    lists = (TruthList("eval_data_list_2023.csv", hashlib.sha256(truth).hexdigest()),)
    server.files[f"/{records.LISTS}/eval_data_list_2023.csv"] = truth
    sound = wav(eight_channels(0)[:, :1])
    train = {f"bandsaw/train/section_00_source_train_normal_000{k}_v.wav": sound for k in range(3)}
    members = {"additional": train, "test": {"bandsaw/test/section_00_0000.wav": sound}}
    small = []
    for archive in DATA_SETS["dcase2023"].archives:
        if archive.machine == "bandsaw":
            content = zipped(tmp_path / "z.zip", members[archive.part]).read_bytes()
            server.files[f"/{archive.path}"] = content
            small.append(Archive(**{**vars(archive), "md5": md5(content)}))
    data = DataSet("dcase2023", "DCASE 2023", "CC BY-NC-SA 4.0", tuple(small), lists)
    monkeypatch.setitem(DATA_SETS, "dcase2023", data)
    command("dcase2023", parts=["all"])
    clips = read_clips("dcase2023", tmp_path / "data", use_additional=True)
    tested = [clip for clip in clips if clip.split == "test"]
    assert [(c.label, c.domain, c.attributes) for c in tested] == [(1, "target", "vel_2")]
    assert len(clips) == 4
    server.files[f"/{records.LISTS}/eval_data_list_2023.csv"] = b"<html>"
    (tmp_path / "data" / "eval_data_list_2023.csv").unlink()
    with pytest.raises(UserError, match="is not the published list"):
        command("dcase2023", parts=["truth"])
    server.moods[f"/{records.LISTS}/eval_data_list_2023.csv"].extend([bad.CUT, 403])
    with pytest.raises(UserError, match="is refused"):
        command("dcase2023", parts=["truth"])
    assert sorted(os.listdir(tmp_path / "data")) == [".fetch.lock", "eval_data", "fetch.json"]


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
        ("mimii", {"mirror": "ftp://x"}, "--mirror=ftp://x is no address"),
    ],
)
def test_what_a_user_gets_wrong_is_one_sentence(command, server, name, settings, said):
    with pytest.raises(UserError, match=said):
        command(name, **settings)
    assert not server.requests


def test_room_is_checked_before_anything_is_downloaded(command, server, mimii, monkeypatch):
    sizes = [a.size for a in DATA_SETS["mimii"].archives if a.part == "0"]
    usage = shutil._ntuple_diskusage

    def free(size):
        monkeypatch.setattr(disk.shutil, "disk_usage", lambda _: usage(10**12, 0, int(size)))

    free(sizes[0] * 1.1)  # the archive, but not what comes out of it
    with pytest.raises(UserError, match=r"This needs .* at its fullest, where .* are free"):
        command("mimii", machines=["fan"])
    assert not server.requests


def test_the_fullest_moment_counts_one_archive_at_a_time(tmp_path, monkeypatch):
    archives = [Archive(f"{k}.zip", 1, "0", "fan", "0dB", 1000, "", True) for k in range(10)]
    usage = shutil._ntuple_diskusage
    monkeypatch.setattr(disk.shutil, "disk_usage", lambda _: usage(10**9, 0, 3000))
    job.need_room(tmp_path, archives, zips=tmp_path, keep=False)  # 1000 + 10 * 180
    with pytest.raises(UserError, match="This needs 12 kB"):
        job.need_room(tmp_path, archives, zips=tmp_path, keep=True)


def test_archives_on_another_disk_need_their_room_there(tmp_path, monkeypatch):
    archives = [Archive(f"{k}.zip", 1, "0", "fan", "0dB", 1000, "", True) for k in range(10)]
    usage, zips = shutil._ntuple_diskusage, tmp_path / "zips"
    zips.mkdir()
    free = {tmp_path: 1800, zips: 1000}
    monkeypatch.setattr(job, "on_one_disk", lambda *_: False)
    monkeypatch.setattr(disk.shutil, "disk_usage", lambda path: usage(10**9, 0, free[path]))
    job.need_room(tmp_path, archives, zips=zips, keep=False)
    with pytest.raises(UserError, match=r"10 kB in .*zips at its fullest.*another --archives"):
        job.need_room(tmp_path, archives, zips=zips, keep=True)
    free[tmp_path] = 1799
    with pytest.raises(UserError, match=r"2 kB in .* at its fullest.*another --dir"):
        job.need_room(tmp_path, archives, zips=zips, keep=False)


def test_archives_go_where_they_are_wished(command, mimii, tmp_path, monkeypatch):
    there, unpack, zips = [], job.unpack, tmp_path / "local" / "zips"

    def look(archive, *arguments, **settings):
        there.append((archive.parent, (tmp_path / "data" / "archives").exists()))
        return unpack(archive, *arguments, **settings)

    monkeypatch.setattr(job, "unpack", look)
    command("mimii", machines=["fan"], archives=str(zips))
    assert there == [(zips, False)] and os.listdir(zips) == []  # a user's folder stays
    assert len(read_clips("mimii", tmp_path / "data")) == 18


class Terminal:
    """Stands for stdin: one that gives an answer, or none that could."""

    def __init__(self, answer):
        self.answer = answer

    def isatty(self):
        return self.answer is not None

    def readline(self):
        return self.answer


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
    from asd_jax.data.download.ledger import alone_in

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
            content = mimii_zip(tmp_path, archive.machine, (1, 1), 400)[0]
            server.files[f"/{archive.path}"] = content
            small.append(dataclasses.replace(archive, size=len(content), md5=md5(content)))
        lists = [TruthList(t.name, hashlib.sha256(truth).hexdigest()) for t in data.lists]
        server.files.update({f"/{t.path}": truth for t in lists})
        fields = {"archives": tuple(small), "lists": tuple(lists)}
        monkeypatch.setitem(DATA_SETS, name, dataclasses.replace(data, **fields))


def test_help_and_refusals_come_at_once_and_without_jax():
    program = "import sys, asd_jax.fetch; print('jax' in sys.modules, 'pooch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.split() == ["False", "False"]
    line = [sys.executable, "-m", "asd_jax.fetch", "mimii", "--dir=/nowhere"]
    done = subprocess.run(line, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert done.stderr.splitlines()[-1].startswith("error: the licence of MIMII")
