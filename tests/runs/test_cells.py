"""Which runs `--pack` and `--cells` name."""

import ml_collections
import pytest

from asd_jax.errors import UserError
from asd_jax.runs import cells

VALUES = {"seed": 3, "pack": 2, "finetune": {"margin": 0.1}, "data": {"snr": ("0",)}}


def config():
    return ml_collections.ConfigDict(VALUES)


def test_a_seed_of_a_pack_has_the_config_that_it_would_have_alone():
    first, second = cells.of_seeds(VALUES, "runs")
    assert first.values == VALUES | {"pack": 1} and first.folder == "runs/seed=3"
    assert second.values == VALUES | {"pack": 1, "seed": 4} and second.folder == "runs/seed=4"


def test_cells_change_their_fields_alone():
    text = '{"a": {"finetune.margin": 0.5}, "b": {"data.snr": ["6", "0"]}}'
    a, b = cells.parse(text, config(), "runs")
    assert a.values == VALUES | {"pack": 1, "finetune": {"margin": 0.5}} and a.folder == "runs/a"
    assert b.values["data"]["snr"] == ("6", "0") and b.values["finetune"] == {"margin": 0.1}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "no JSON"),
        ('["a"]', "runs by their folders"),
        ('{"a": {"finetune.margn": 1}}', "Did you mean finetune.margin?"),
        ('{"a": {"finetune.margin": "wide"}}', "finetune.margin='wide' does not fit"),
    ],
)
def test_what_cannot_be_is_one_sentence(text, said):
    with pytest.raises(UserError, match=said.replace("?", r"\?")):
        cells.parse(text, config(), "runs")
