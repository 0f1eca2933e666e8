import json

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
