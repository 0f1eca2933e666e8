"""`python -m asd_jax.fetch dcase...`: hashes and sizes from the record, all parts, the labels."""

import hashlib
import json
import os
import shutil

import pytest

from asd_jax.data.clips import read_clips
from asd_jax.data.download import records
from asd_jax.data.download.records import DATA_SETS, Archive, DataSet, TruthList
from asd_jax.errors import UserError
from tests.data import server as bad
from tests.data.fetching import dcase_zip, md5
from tests.data.test_download_extract import eight_channels, wav, zipped


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
    with pytest.raises(UserError, match="wrong checksum"):
        command("dcase2023", parts=["truth"])
    server.moods[f"/{records.LISTS}/eval_data_list_2023.csv"].extend([bad.CUT, 403])
    with pytest.raises(UserError, match="is refused"):
        command("dcase2023", parts=["truth"])
    assert sorted(os.listdir(tmp_path / "data")) == [".fetch.lock", "eval_data", "fetch.json"]
