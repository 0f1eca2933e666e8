import json

import pytest

from asd_jax.detector_folder import FORMAT, read_folder, write_folder
from asd_jax.errors import UserError


def set_format(folder, number):
    path = folder / "detector.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"format": number}))


def test_a_newer_format_is_refused(tmp_path):
    write_folder(str(tmp_path), {}, {})
    set_format(tmp_path, FORMAT + 1)
    with pytest.raises(UserError, match="newer asd_jax"):
        read_folder(str(tmp_path))
