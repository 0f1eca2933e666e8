"""The classifier's detector: what a clip is called whose machine is not sure."""

import numpy as np
import pytest

from asd_jax.recipes.pump_classifier.detector import ClassifierDetector
from tests.recipes.tiny import bare


@pytest.mark.parametrize(
    ("candidates", "machine"),
    [([1], ("pump", "02")), ([0, 1], ("pump", "")), ([0, 2], ("", ""))],
)
def test_a_clip_is_called_what_its_candidates_share(candidates, machine):
    detector = bare(
        ClassifierDetector,
        groups=(("pump", "00"), ("pump", "02"), ("fan", "00")),
        normal_scores=(np.linspace(0.0, 1.0, 9),) * 4,
        threshold=0.6,
    )
    row = detector._row("x.wav", 0.7, candidates)
    assert (row["machine_type"], row["machine_id"]) == machine
    assert row["decision"] == 1 and detector._row("x.wav", 0.6, candidates)["decision"] == 0
