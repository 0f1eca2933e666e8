"""An archive becomes folders of whole recordings, from any interruption on; nothing leads out."""

import io
import shutil
import stat
import zipfile

import numpy as np
import pytest
import soundfile

from asd_jax.data.decode import read_wave
from asd_jax.data.download import extract
from asd_jax.data.download.extract import DamagedArchiveError, unpack
from asd_jax.errors import UserError

RATE = 16000


def eight_channels(seed: int, samples: int = 4000) -> np.ndarray:
    return np.random.default_rng(seed).integers(-(2**15), 2**15, (samples, 8)).astype(np.int16)


def wav(samples: np.ndarray, kind: str = "WAV") -> bytes:
    file = io.BytesIO()
    soundfile.write(file, samples, RATE, subtype="PCM_16", format=kind)
    return file.getvalue()


def zipped(path, members):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def names(folder):
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())


def test_eight_channels_become_the_first_with_its_samples_as_they_are(tmp_path):
    sounds = {f"fan/id_00/normal/{k:08d}.wav": eight_channels(k) for k in range(3)}
    members = {name: wav(sound, "WAVEX") for name, sound in sounds.items()}
    assert members["fan/id_00/normal/00000000.wav"][20:22] == b"\xfe\xff"  # EXTENSIBLE
    archive = zipped(tmp_path / "0_dB_fan.zip", members)
    counts = unpack(archive, tmp_path / "0dB", "fan", mono=True)
    assert counts == {tmp_path / "0dB" / "fan" / "id_00" / "normal": 3}
    for name, sound in sounds.items():
        path = tmp_path / "0dB" / name
        info = soundfile.info(path)
        assert (info.channels, info.samplerate, info.subtype) == (1, RATE, "PCM_16")
        np.testing.assert_array_equal(read_wave(path), sound[:, 0])
        assert path.stat().st_size < 2 * len(sound) + 100
    assert len(names(tmp_path / "0dB")) == 3


def test_single_channels_and_other_files_are_copied_as_they_are(tmp_path):
    members = {"fan/train/a.wav": wav(eight_channels(0)[:, :1]), "fan/attributes_00.csv": b"x,y"}
    archive = zipped(tmp_path / "dev_fan.zip", members)
    unpack(archive, tmp_path / "dev", "fan")
    for name, content in members.items():
        assert (tmp_path / "dev" / name).read_bytes() == content


@pytest.mark.parametrize(
    "above", ["fan/", "", "dev_data_fan/fan/", "fan\\"], ids=["own", "none", "two", "windows"]
)
def test_the_machine_type_comes_first_whatever_the_zip_has_above(tmp_path, above):
    members = {f"{above}train/a.wav": b"1", "__MACOSX/fan/b.wav": b"2", "fan/.DS_Store": b"3"}
    unpack(zipped(tmp_path / "x.zip", members), tmp_path / "dev", "fan")
    assert names(tmp_path / "dev") == ["fan/train/a.wav"]


@pytest.mark.parametrize(
    "name", ["../../evil.wav", "/tmp/evil.wav", "fan/../../../evil.wav", "..\\evil.wav", "C:/e.wav"]
)
def test_a_path_that_leads_out_is_refused_before_anything_is_written(tmp_path, name):
    archive = zipped(tmp_path / "x.zip", {"fan/a.wav": b"1", name: b"2"})
    with pytest.raises(UserError, match="leads out of its folder"):
        unpack(archive, tmp_path / "in" / "dev", "fan")
    assert names(tmp_path) == ["x.zip"]


def test_a_link_is_refused(tmp_path):
    link = zipfile.ZipInfo("fan/train")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with pytest.raises(UserError, match="leads out"):
        unpack(zipped(tmp_path / "x.zip", {link: "/etc"}), tmp_path / "dev", "fan")


def test_goes_on_in_the_middle_and_leaves_what_is_whole(tmp_path, monkeypatch):
    members = {f"fan/id_00/normal/{k:08d}.wav": wav(eight_channels(k)) for k in range(4)}
    archive = zipped(tmp_path / "x.zip", members)
    write, written = extract._write, []

    def dies_at_the_third(*arguments):
        if len(written) == 2:
            raise KeyboardInterrupt
        written.append(arguments[1].target.name)
        write(*arguments)

    monkeypatch.setattr(extract, "_write", dies_at_the_third)
    with pytest.raises(KeyboardInterrupt):
        unpack(archive, tmp_path / "0dB", "fan", mono=True)
    assert len(names(tmp_path / "0dB")) == 2
    folder = tmp_path / "0dB" / "fan" / "id_00" / "normal"
    (folder / "00000001.wav").write_bytes(b"")  # as a power cut may leave it
    monkeypatch.setattr(extract, "_write", lambda *a: (written.append(a[1].target.name), write(*a)))
    counts = unpack(archive, tmp_path / "0dB", "fan", mono=True)
    assert written[2:] == ["00000001.wav", "00000002.wav", "00000003.wav"]
    assert counts == {folder: 4} and len(names(tmp_path / "0dB")) == 4
    np.testing.assert_array_equal(read_wave(folder / "00000001.wav"), eight_channels(1)[:, 0])


def test_a_file_cut_off_while_it_is_written_never_bears_its_name(tmp_path, monkeypatch):
    archive = zipped(tmp_path / "x.zip", {"fan/a.wav": b"1" * 100})

    def dies(source, file, _):
        file.write(b"1")
        raise KeyboardInterrupt

    monkeypatch.setattr(extract.shutil, "copyfileobj", dies)
    with pytest.raises(KeyboardInterrupt):
        unpack(archive, tmp_path / "dev", "fan")
    assert names(tmp_path / "dev") == []
    monkeypatch.undo()
    unpack(archive, tmp_path / "dev", "fan")
    assert names(tmp_path / "dev") == ["fan/a.wav"]


@pytest.mark.parametrize("harm", ["no zip", "cut", "flipped", "no wav"])
def test_a_damaged_archive_is_named(tmp_path, harm):
    path = zipped(tmp_path / "x.zip", {"fan/id_00/normal/0.wav": wav(eight_channels(0))})
    data = bytearray(path.read_bytes())
    if harm == "no zip":
        path.write_bytes(b"<html>Busy</html>")
    elif harm == "cut":
        path.write_bytes(data[: len(data) // 2])
    elif harm == "flipped":
        data[len(data) // 2] ^= 0xFF
        path.write_bytes(data)
    else:
        zipped(path, {"fan/id_00/normal/0.wav": b"not a wav"})
    said = r"0\.wav of .*x\.zip is not a recording" if harm == "no wav" else r"x\.zip is damaged"
    with pytest.raises(DamagedArchiveError, match=said):
        unpack(path, tmp_path / "0dB", "fan", mono=True)
    assert not [name for name in names(tmp_path) if name.endswith("/0.wav")]


def test_refuses_to_begin_without_room(tmp_path, monkeypatch):
    archive = zipped(tmp_path / "x.zip", {"fan/a.wav": bytes(3000)})
    usage = shutil._ntuple_diskusage
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10**9, 0, 10**6))
    with pytest.raises(UserError, match=r"x.zip unpacks to .* where 1 MB are free"):
        unpack(archive, tmp_path / "dev", "fan")
    assert not (tmp_path / "dev").exists()


def test_a_disk_that_fills_up_does_not_blame_the_archive(tmp_path, monkeypatch):
    archive = zipped(tmp_path / "x.zip", {"fan/a.wav": wav(eight_channels(0))})

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(extract.pathlib.Path, "write_bytes", full)
    with pytest.raises(UserError, match="the disk is full") as caught:
        unpack(archive, tmp_path / "0dB", "fan", mono=True)
    assert not isinstance(caught.value, DamagedArchiveError)


def harmed(data, rng):
    """The bytes with a few accidents."""
    data = bytearray(data)
    for _ in range(1 + int(rng.integers(3))):
        place = int(rng.integers(len(data)))
        data[place : place + int(rng.integers(1, 9))] = rng.bytes(int(rng.integers(9)))
    return bytes(data[: int(rng.integers(1, len(data)))] if rng.integers(6) == 0 else data)


@pytest.mark.parametrize("mono", [True, False])
@pytest.mark.parametrize("how", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2])
def test_every_mutation_is_damage_or_comes_out_whole(tmp_path, how, mono):
    rng, archive, found = np.random.default_rng(how), tmp_path / "x.zip", 0
    with zipfile.ZipFile(archive, "w", how) as file:
        for k in range(2):
            file.writestr(f"fan/id_00/normal/{k}.wav", wav(eight_channels(k, 200), "WAVEX"))
    whole = archive.read_bytes()
    for number in range(60):
        archive.write_bytes(harmed(whole, rng))
        try:
            unpack(archive, tmp_path / str(number), "fan", mono=mono)
        except UserError as error:
            found += 1
            assert "\n" not in str(error)
        assert not list(tmp_path.rglob("*.tmp"))
    assert found > 20
