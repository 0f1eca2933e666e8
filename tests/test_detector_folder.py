import json
import os

import numpy as np
import pytest

from asd_jax.detector_folder import FORMAT, read_folder, write_folder
from asd_jax.errors import UserError


def set_format(folder, number):
    """As an earlier version wrote it, or a later one."""
    path = folder / "detector.json"
    about = json.loads(path.read_text()) | {"format": number}
    about.pop("sha256", None)
    path.write_text(json.dumps(about))


def test_a_newer_format_is_refused(tmp_path):
    write_folder(str(tmp_path), {}, {})
    set_format(tmp_path, FORMAT + 1)
    with pytest.raises(UserError, match="newer asd_jax"):
        read_folder(str(tmp_path))


@pytest.mark.parametrize("times", [1, 2])
def test_a_write_that_is_killed_between_its_files_leaves_the_detector_before(
    tmp_path, monkeypatch, times
):
    def write(value):
        write_folder(str(tmp_path), {"value": value}, {"a": np.full(3, value)})

    def read():
        about, arrays = read_folder(str(tmp_path))
        return about["value"], arrays["a"].tolist()

    write(1)
    real = os.replace
    for value in range(2, 2 + times):

        def replace(source, target):
            if os.path.basename(target) == "detector.json":
                raise SystemExit  # as if it were gone
            real(source, target)

        monkeypatch.setattr(os, "replace", replace)
        with pytest.raises(SystemExit):
            write(value)
        assert read() == (1, [1, 1, 1])
    monkeypatch.setattr(os, "replace", real)
    write(9)
    assert read() == (9, [9, 9, 9])
    assert sorted(os.listdir(tmp_path)) == ["arrays.npz", "detector.json"]
