"""Settings for any values: what is taken comes back through a config, all else is a sentence."""

import dataclasses
import json

from hypothesis import given
from hypothesis import strategies as st

from asd_jax.errors import UserError
from asd_jax.files import plain
from asd_jax.naming import cell, printable, text_of_cell
from asd_jax.report.files import read_scores, write_scores
from asd_jax.runs.settings import Data, Schedule, as_config, from_config

FLOATS = st.one_of(st.floats(-1.0, 2.0), st.floats(-1e3, 1e6), st.just(float("nan")))
FIELDS = st.one_of(
    st.tuples(st.sampled_from(["clip_seconds", "hold_out"]), FLOATS),
    st.tuples(st.sampled_from(["sample_rate", "clusters"]), st.integers(-5, 10**6)),
)


@given(FIELDS)
def test_settings_come_back_through_a_config_or_are_refused(given_field):
    field, value = given_field
    try:
        made = Data(**{field: value})
    except UserError as error:
        assert f"Data.{field}" in str(error)
        return
    again = from_config(Data, as_config(made).to_dict())
    assert again == made
    stored = json.loads(json.dumps(plain(dataclasses.asdict(made))))
    assert from_config(Data, stored) == made


@given(st.dictionaries(st.text(max_size=12), st.none() | st.integers() | st.text(), max_size=3))
def test_an_unknown_field_is_a_sentence(values):
    known = {field.name for field in dataclasses.fields(Schedule)}
    if not set(values) - known:
        return
    try:
        from_config(Schedule, values)
    except UserError as error:
        assert "is not a field" in str(error)
    else:
        raise AssertionError(values)


@given(st.text())
def test_any_name_is_shown_on_one_line_and_comes_back_from_a_table(text):
    assert text_of_cell(cell(text)) == text
    shown = printable(text)
    assert shown.isprintable() and len(shown.splitlines()) <= 1 and printable(shown) == shown


@given(st.lists(st.text(max_size=20), min_size=1, max_size=5), st.floats(-1e9, 1e9))
def test_scores_come_back_from_their_file(tmp_path_factory, paths, score):
    path = tmp_path_factory.mktemp("scores") / "scores.csv"
    rows = [
        {"path": name, "machine_type": name, "machine_id": "00", "score": score, "label": -1}
        for name in paths
    ]
    write_scores(path, rows)
    found = read_scores(path)
    assert [row["path"] for row in found] == paths
    assert [row["machine_type"] for row in found] == paths
