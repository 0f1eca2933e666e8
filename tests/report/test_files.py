"""scores.csv and results.json: the same bytes for the same content, and back again."""

import json
import math
import os

import numpy as np
import pytest

from asd_jax.errors import UserError
from asd_jax.files import write_json
from asd_jax.report import files

ROWS = (
    {
        "path": 'pump/größe, "neu"\n<script>.wav',
        "machine_type": "pump",
        "machine_id": "00",
        "domain": "source",
        "label": 1,
        "score": np.float32(0.1),
        "score_fusion": 1.0,
        "score_statistics": math.nan,
        "threshold": 2,
        "decision": np.int32(0),
    },
    {
        "path": "pump/b.wav",
        "machine_type": "pump",
        "machine_id": "02",
        "label": -1,
        "score": 1234567.891234,
        "score_late": 1e-12,
        "threshold": None,
        "decision": None,
    },
)


def test_scores_have_the_promised_columns_and_bytes(tmp_path):
    path = tmp_path / "scores.csv"
    files.write_scores(path, ROWS)
    assert path.read_bytes().decode() == (
        "path,machine_type,machine_id,domain,label,score,score_fusion,score_statistics,score_late,"
        "threshold,decision\n"
        '"pump/größe, ""neu""\\x0a<script>.wav",pump,00,source,1,0.100000001,1,,,2,0\n'
        "pump/b.wav,pump,02,,,1234567.89,,,1e-12,,\n"
    )
    assert os.listdir(tmp_path) == ["scores.csv"]


def test_scores_round_trip(tmp_path):
    path, again = tmp_path / "scores.csv", tmp_path / "again.csv"
    files.write_scores(path, ROWS)
    rows = files.read_scores(path)
    assert rows[0]["path"] == ROWS[0]["path"] and rows[0]["machine_id"] == "00"
    assert [row["label"] for row in rows] == [1, -1]
    assert [row["decision"] for row in rows] == [0, -1]
    assert rows[0]["score"] == pytest.approx(0.1, rel=1e-7)
    assert math.isnan(rows[0]["score_statistics"]) and math.isnan(rows[1]["threshold"])
    files.write_scores(again, rows)
    assert path.read_bytes() == again.read_bytes()


def test_a_file_name_that_is_no_utf8_survives(tmp_path):
    name = os.fsdecode(b"motor\xe4.wav")
    row = {"path": name, "machine_type": "m", "machine_id": "0", "score": 1.0}
    files.write_scores(tmp_path / "s.csv", [row])
    assert files.read_scores(tmp_path / "s.csv")[0]["path"] == name


def test_scores_without_a_row_still_have_a_header(tmp_path):
    files.write_scores(tmp_path / "s.csv", [])
    assert files.read_scores(tmp_path / "s.csv") == []


def test_an_unknown_column_is_refused_and_leaves_the_old_file(tmp_path):
    path = tmp_path / "scores.csv"
    files.write_scores(path, ROWS)
    before = path.read_bytes()
    with pytest.raises(ValueError, match="mystery"):
        files.write_scores(path, [{**ROWS[0], "mystery": 1}])
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("text", "named"),
    [(None, "can't be read"), ("path,score\n", "machine_type"), ("", "no column 'path'")],
)
def test_a_bad_scores_file_is_named(tmp_path, text, named):
    path = tmp_path / "s.csv"
    if text is not None:
        path.write_text(text)
    with pytest.raises(UserError, match=named):
        files.read_scores(path)


def test_a_number_that_is_none_is_named(tmp_path):
    path = tmp_path / "s.csv"
    files.write_scores(path, ROWS)
    path.write_text(path.read_text().replace("1234567.89", "loud"))
    with pytest.raises(UserError, match="loud"):
        files.read_scores(path)


def test_results_are_strict_json_in_the_order_given(tmp_path):
    path = tmp_path / "results.json"
    results = {
        "protocol": {"name": "literal", "snr": ("6", "0")},
        "seed": np.int64(3),
        "groups": [{"machine_type": "fän", "auc": np.float32(0.5), "pauc": math.nan}],
        "mean": {"auc": np.array([0.25, math.inf])},
        "oracle": np.bool_(True),
    }
    write_json(path, results)

    def refuse(name):
        raise AssertionError(name)

    read = json.loads(path.read_text("utf-8"), parse_constant=refuse)
    assert list(read) == list(results)
    assert read["groups"] == [{"machine_type": "fän", "auc": 0.5, "pauc": None}]
    assert read["mean"]["auc"] == [0.25, None]
    assert read["seed"] == 3 and read["oracle"] is True and read["protocol"]["snr"] == ["6", "0"]
    assert files.read_results(path) == read
    first = path.read_bytes()
    write_json(path, files.read_results(path))
    assert path.read_bytes() == first


def test_results_refuse_what_json_has_no_word_for(tmp_path):
    with pytest.raises(TypeError, match="object"):
        write_json(tmp_path / "r.json", {"a": object()})
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("text", [None, "{", "[]"])
def test_a_bad_results_file_is_named(tmp_path, text):
    path = tmp_path / "results.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(UserError, match=r"results\.json"):
        files.read_results(path)
