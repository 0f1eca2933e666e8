"""Small archives in place of the published ones, and a user at the terminal."""

import hashlib

from tests.data.test_download_extract import eight_channels, wav, zipped


def md5(data: bytes) -> str:
    return hashlib.md5(data).hexdigest()


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


class Terminal:
    """Stands for stdin: one that gives an answer, or none that could."""

    def __init__(self, answer):
        self.answer = answer

    def isatty(self):
        return self.answer is not None

    def readline(self):
        return self.answer
