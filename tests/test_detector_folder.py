import json

import numpy as np
import pytest

from asd_jax.detector_folder import FORMAT, below, read_folder, write_folder
from asd_jax.errors import UserError
from asd_jax.scoring import scorers


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def set_format(folder, number):
    """As an earlier version wrote it, or a later one."""
    path = folder / "detector.json"
    about = json.loads(path.read_text()) | {"format": number}
    about.pop("sha256", None)
    path.write_text(json.dumps(about))


def test_a_detector_of_before_triangular_factors_scores_as_it_did(rng, tmp_path):
    train, clips = rng.normal(size=(6, 10)), rng.normal(size=(5, 10)).astype(np.float32)
    scorer = scorers.fit("gmm", train)
    turn, _ = np.linalg.qr(rng.normal(size=(10, 10)))
    older = {"factors": (scorer.factors @ turn).astype(np.float32)}  # f turn turn' f' = f f'
    arrays = scorers.to_arrays(scorer) | older
    write_folder(str(tmp_path), {}, {f"scorers/tap/0/{k}": v for k, v in arrays.items()})

    set_format(tmp_path, 2)
    _, read = read_folder(str(tmp_path))
    upgraded = scorers.from_arrays("gmm", below(read, "scorers/tap/0/"))
    assert not np.tril(upgraded.factors, -1).any()
    np.testing.assert_allclose(
        scorers.score(upgraded, clips), scorers.score(scorer, clips), rtol=1e-3
    )

    set_format(tmp_path, 3)
    _, read = read_folder(str(tmp_path))
    np.testing.assert_array_equal(read["scorers/tap/0/factors"], older["factors"])


def test_a_newer_format_is_refused(tmp_path):
    write_folder(str(tmp_path), {}, {})
    set_format(tmp_path, FORMAT + 1)
    with pytest.raises(UserError, match="newer asd_jax"):
        read_folder(str(tmp_path))
