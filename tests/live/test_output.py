"""How rows look on a terminal."""

import pytest

from asd_jax.live.output import Output


@pytest.mark.parametrize("score", [-2.1, 70271.516, 3688610.75, -1e9])
def test_a_table_keeps_its_columns_whatever_the_score(score, capsys):
    row = {"score": score, "threshold": 1.12, "decision": 1, "percentile": 100.0}
    row |= {"machine_type": "motor", "machine_id": "00", "path": "a.wav"}
    Output("table").row(row)
    titles, line = capsys.readouterr().out.splitlines()
    assert line.index("1.120") + len("1.120") == titles.index("threshold") + len("threshold")
    assert line.index("motor") == titles.index("machine")
    assert line.endswith("motor, a.wav")
    assert float(line[10:19]) == pytest.approx(score, rel=5e-3)


@pytest.mark.parametrize(("others", "shown"), [((), "motor"), ((("motor", "02"),), "motor 00")])
def test_an_id_that_tells_nothing_apart_is_left_out_of_the_table_alone(others, shown, capsys):
    row = {"score": 1.0, "threshold": 2.0, "decision": 0, "percentile": 50.0, "path": "a.wav"}
    row |= {"machine_type": "motor", "machine_id": "00"}
    table, lines = (Output(kind, (("motor", "00"), *others)) for kind in ("table", "json"))
    table.row(row)
    assert capsys.readouterr().out.endswith(f" {shown}, a.wav\n")
    lines.row(row)
    assert '"machine_id": "00"' in capsys.readouterr().out


NASTY = "a\n\x1b[31mred\x9b0m\u202egnp.exe\r"


def test_no_name_is_obeyed_by_a_terminal(capsys):
    row = {"score": 1.0, "threshold": 2.0, "decision": 0, "percentile": 50.0, "path": NASTY}
    row |= {"machine_type": NASTY, "machine_id": "00"}
    for kind in ("table", "csv", "json"):
        output = Output(kind)
        output.row(row)
        output.note(f"not scored: {NASTY}", event="unreadable", path=NASTY)
        said = capsys.readouterr()
        for text in (said.out, said.err):
            assert not set(text) & set("\x1b\x9b\u202e\r"), kind
        assert len(said.out.splitlines()) == 2
