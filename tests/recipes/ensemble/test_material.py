"""What a run keeps for scoring: it comes back as it was, and damage is one sentence."""

import numpy as np
import pytest

from asd_jax.errors import UserError
from asd_jax.recipes.ensemble.material import Material, fingerprint


def features(seed, *names):
    rng = np.random.default_rng(seed)
    return {name: rng.normal(size=(4, 3)).astype(np.float32) for name in names}


def test_what_was_saved_comes_back(tmp_path):
    made = Material(
        trained=features(0, "spectral", "frame_mean"),
        weak={"tone -20 dB": features(1, "spectral"), "clicks -10 dB": features(2, "spectral")},
        tested=features(3, "spectral"),
        prototypes={"spectral": np.ones((2, 1, 3), np.float32)},
        clips=fingerprint(["a", "b"]),
        heard={"hum, 3 dB": features(4, "spectral")},
    )
    made.save(str(tmp_path / "features.npz"))
    found = Material.load(str(tmp_path / "features.npz"))
    assert found.clips == made.clips
    for name in ("trained", "tested", "prototypes"):
        ours, theirs = getattr(found, name), getattr(made, name)
        assert ours.keys() == theirs.keys()
        for branch in ours:
            np.testing.assert_array_equal(ours[branch], theirs[branch])
    for name in ("weak", "heard"):
        ours, theirs = getattr(found, name), getattr(made, name)
        assert ours.keys() == theirs.keys()
        for kind in ours:
            np.testing.assert_array_equal(ours[kind]["spectral"], theirs[kind]["spectral"])


@pytest.mark.parametrize("data", [None, b"", b"PK no archive"])
def test_a_missing_or_damaged_file_is_one_sentence(tmp_path, data):
    path = tmp_path / "features.npz"
    if data is not None:
        path.write_bytes(data)
    with pytest.raises(UserError, match=r"features\.npz cannot be read"):
        Material.load(str(path))


def test_a_fingerprint_is_of_names_in_their_order():
    prints = {fingerprint(names) for names in (["a", "b"], ["b", "a"], ["ab"], ["a"], [])}
    assert len(prints) == 5 and fingerprint(["a", "b"]) in prints
