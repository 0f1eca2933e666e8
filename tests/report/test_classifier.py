"""The classifier's section of the page: there when it should be, with the figures that it got."""

import dataclasses
import html
import re

import numpy as np
import pytest

from asd_jax.report import classifier, summary
from asd_jax.report.contents import Classification, Example, Report
from asd_jax.report.html import render

FOUND = Classification(
    confusion=(80, 9, 2, 9),
    measures={
        "accuracy": (0.89, 0.82, 0.95),
        "balanced_accuracy": (0.8583, 0.75, 0.94),
        "auc": (0.93, 0.85, 0.98),
        "f1": (0.6207, 0.41, 0.78),
        "recall": (0.8182, 0.55, 1.0),
        "precision": (0.5, 0.28, 0.72),
        "false_alarm_rate": (0.1011, 0.05, 0.17),
    },
    trivial=0.89,
    loss=0.31,
    brier=0.09,
    calibration_error=0.07,
    reliability=((0.1, 0.03, 60), (float("nan"), float("nan"), 0), (0.9, 0.6, 40)),
    clips=100,
    recordings=34,
    conditions={"6 dB": {"clips": 50, "accuracy": 0.9, "balanced_accuracy": 0.87, "auc": 0.95}},
)


def rows(count=4):
    return tuple(
        {
            "path": f"{k}.wav",
            "machine_type": "pump",
            "machine_id": "00",
            "label": k % 2,
            "score": 0.2 + 0.2 * k,
            "threshold": 0.5,
            "decision": int(k > 1),
        }
        for k in range(count)
    )


def text_of(page):
    return html.unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page)))


def test_the_page_shows_matrix_measures_and_reliability():
    protocol = {"protocol": {"threshold_set": "by hand, at 0.5"}}
    page = render(Report(results=protocol, rows=rows(), classification=FOUND))
    text = text_of(page)
    assert 'id="decisions"' in page and "gets most wrong" in text
    assert "80 healthy clips called healthy, 9 called faulty" in page
    assert "Balanced accuracy 0.858 0.750 to 0.940" in text
    assert "Trivial accuracy (all clips called alike) 0.890" in text
    assert "100 test clips of 34 recordings" in text
    assert "The interval of the accuracy holds the trivial level" in text
    assert "6 dB 50 0.900 0.870 0.950" in text
    assert "The threshold was set by hand, at 0.5." in text
    assert "nan" not in text.lower().split()


def test_better_than_trivial_is_not_called_without_skill():
    better = dataclasses.replace(FOUND, trivial=0.6)
    assert "holds the trivial level" not in render(Report({}, rows(), classification=better))


def test_an_ensemble_has_no_such_section():
    page = render(Report(results={}, rows=rows()))
    assert 'id="decisions"' not in page and "The most unusual clips" in page


def test_empty_bins_are_left_out_of_the_reliability():
    drawing = classifier.reliability_panel(FOUND)
    assert drawing.count("<circle") == 2
    assert "said 90%, is 60% of 40" in drawing


def test_versions_of_a_recording_make_no_interval_narrower():
    def heights(found):
        bars = re.findall(
            r'class="interval" d="M\S+ (\S+)V(\S+)"', classifier.reliability_panel(found)
        )
        return [abs(float(top) - float(bottom)) for top, bottom in bars]

    assert FOUND.clips > FOUND.recordings
    apart = dataclasses.replace(FOUND, recordings=FOUND.clips)
    assert all(a > b for a, b in zip(heights(FOUND), heights(apart), strict=True))


@pytest.mark.parametrize("confusion", [(0, 0, 0, 5), (5, 0, 0, 0)])
def test_one_class_only_draws(confusion):
    one = dataclasses.replace(
        FOUND,
        confusion=confusion,
        measures={name: (float("nan"),) * 3 for name in FOUND.measures} | {"accuracy": (1, 1, 1)},
    )
    assert "–" in render(Report(results={}, rows=rows(1), classification=one))


BESIDE = {
    "logistic_regression": {
        "auc": 0.95,
        "auc_interval": [0.9, 0.99],
        "above": -0.02,
        "above_interval": [-0.05, 0.01],
    }
}


def test_references_stand_beside_the_classifier():
    found = dataclasses.replace(FOUND, references=BESIDE)
    text = text_of(render(Report({}, rows(), classification=found)))
    assert "This classifier 0.930 0.850 to 0.980" in text
    assert (
        "mean and deviation of the log-mel 0.950 0.900 to 0.990 -0.020 (-0.050 to +0.010)" in text
    )
    without = render(Report({}, rows(), classification=FOUND))
    assert "Beside simple references" not in without


def test_what_must_be_known_first_leads_the_verdict():
    many = tuple({**row, "machine_id": f"0{k % 4 // 2}"} for k, row in enumerate(rows(40)))
    told = dataclasses.replace(FOUND, sentences=("The network has not learned: so it is.",))
    report = Report({}, many, classification=dataclasses.replace(told, learned=False))
    found = summary.verdict(report, summary.machines(report))
    assert found.headline[0] == "The network has not learned: so it is."
    assert not any("Heard best" in sentence for sentence in found.details)
    learned = Report({}, many, classification=told)
    details = summary.verdict(learned, summary.machines(learned)).details
    assert any("Heard best" in sentence for sentence in details)


def test_the_page_says_nothing_of_unusual_sounds():
    text = text_of(render(Report({}, rows(), classification=FOUND)))
    assert "more unusual" not in text and "unusual ones" not in text
    assert "What each branch contributes" not in text
    assert "a higher probability of a fault" in text


def test_each_class_has_its_precision_recall_and_f1():
    healthy, faulty = classifier.class_table(FOUND)  # 80, 9, 2, 9
    assert healthy == ("healthy", "89", f"{80 / 82:.3f}", f"{80 / 89:.3f}", f"{160 / 171:.3f}")
    assert faulty == ("faulty", "11", "0.500", f"{9 / 11:.3f}", f"{18 / 29:.3f}")


def test_precision_needs_both_classes():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 60)
    scores = np.round(rng.normal(size=60) + labels, 1)  # with ties
    right = [labels[scores >= limit].mean() for limit in sorted(set(scores), reverse=True)]
    caught = [labels[scores >= limit].sum() / labels.sum() for limit in sorted(set(scores))[::-1]]
    area = np.sum(np.diff(caught, prepend=0.0) * right)
    assert f"average precision {area:.3f}" in classifier.precision_panel(scores, labels)
    assert classifier.precision_panel(scores, np.zeros(60, int)) is None


def test_accuracy_is_drawn_beside_the_loss():
    history = [
        {"stage": "finetune", "step": k, "loss": 1.0 - 0.1 * k, "accuracy": 0.5 + 0.1 * k}
        for k in range(3)
    ]
    page = render(Report({}, rows(), classification=FOUND, history=tuple(history)))
    assert "Accuracy of stage finetune: from 0.5 to 0.7." in page
    assert "Loss of stage finetune" in page
    assert "Accuracy of stage" not in render(Report({}, rows(), history=tuple(history)))


def test_a_clip_has_its_probability_and_the_picture_that_the_network_saw():
    clip = Example(
        path="loud.wav",
        machine_type="pump",
        machine_id="00",
        label=1,
        score=0.25,
        spectrogram=np.zeros((8, 5)),
        deviation=np.zeros((8, 5)),
        mel_frequencies=np.linspace(100, 4000, 8),
        frame_times=np.arange(5.0),
        threshold=0.5,
        percentile=40.0,
        seen=np.linspace(-1, 1, 16).reshape(4, 4),
    )
    config = {"features": {"normalise": "per_bin"}}
    report = Report({}, rows(), classification=FOUND, examples=(clip,), config=config)
    text = text_of(render(report))
    assert "probability of a fault 0.25" in text and "higher than 40 % of normal clips" in text
    assert "The picture that the network saw" in text and "relative to that row's mean" in text
    plain = dataclasses.replace(report, config={"features": {"normalise": "per_clip"}})
    assert "relative to that row's mean" not in text_of(render(plain))
