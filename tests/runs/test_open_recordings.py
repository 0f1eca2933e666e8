"""Recordings that a config names, and what is said of them meanwhile."""

import types

import pytest
from absl import logging

from asd_jax.data.synthetic.settings import SyntheticMachines
from asd_jax.errors import UserError
from asd_jax.runs import recordings
from asd_jax.runs.settings import Data


def test_warnings_are_collected_and_nothing_else():
    with recordings.collected_warnings() as found:
        logging.warning("%s is left out.", "a.wav")
        logging.info("read")
    logging.warning("later")
    assert found == ["a.wav is left out."]


def test_a_data_set_without_a_root_is_refused():
    config = types.SimpleNamespace(data=Data(layout="mimii"), synthetic=SyntheticMachines(), seed=0)
    with pytest.raises(UserError, match=r"config\.data\.root is empty"):
        recordings.open_recordings(config, progress=False)


def test_synthetic_machines_lie_in_a_folder_of_their_own_settings(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    one, other = (
        recordings.synthetic_root(SyntheticMachines(seed=seed), Data()) for seed in (0, 1)
    )
    assert one != other and one.startswith(str(tmp_path))
    assert recordings.synthetic_root(SyntheticMachines(), Data(root="here")) == "here"
