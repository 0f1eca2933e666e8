"""What a user reads while a run is made."""

import pytest

from asd_jax import naming
from asd_jax.train import progress
from asd_jax.train.progress import Bar, Part


@pytest.fixture(autouse=True)
def as_new(monkeypatch):
    monkeypatch.setattr(progress, "_parts", ())
    monkeypatch.setattr(progress, "_quiet", False)
    monkeypatch.delenv("TQDM_DISABLE", raising=False)


@pytest.fixture
def clock(monkeypatch):
    """A clock that goes on by a second each time it is read."""
    now = iter(range(10**6))
    monkeypatch.setattr(progress.time, "monotonic", lambda: float(next(now)))


def trained(name, steps=4, enabled=True):
    with Bar(name, steps, 10, 0, enabled) as bar:
        bar.begin()
        for step in range(1, steps + 1):
            bar.advance()
            bar.show(step, 0.5)


def test_a_stage_says_its_number_that_it_compiles_and_the_time_left_in_all(capsys, clock):
    progress.plan([Part("pretrain", 40), Part("fusion", 3600), Part("calibrate", 0)])
    trained("pretrain")
    first, *_, last = capsys.readouterr().out.splitlines()
    assert first == "  pretrain: stage 1 of 3, compiling"
    assert last.startswith("  pretrain: stage 1 of 3, step 4/4, loss 0.5000, ")
    speed = float(last.split(" clips/s")[0].split()[-1])
    left = last.removesuffix(" of training left in all").split("about ")[1]
    assert left == naming.span(3600 / speed) or speed < 10  # shown without its fraction


def test_the_last_stage_has_nothing_after_it_and_one_alone_no_number(capsys, clock):
    progress.plan([Part("fusion", 40), Part("calibrate", 0)])
    trained("fusion")
    assert "left in all" not in capsys.readouterr().out
    progress.plan([])
    trained("toy")
    assert capsys.readouterr().out.startswith("       toy: compiling\n")


def test_a_stage_that_is_trained_again_is_still_that_stage(capsys):
    progress.plan([Part("data", 1), Part("pretrain", 40), Part("fusion", 40)])
    progress.say("pretrain_again", "compiling")
    assert "pretrain_again: stage 2 of 3, compiling" in capsys.readouterr().out


def test_what_takes_long_says_how_far_it_is(capsys, clock):
    assert list(progress.over("abcdefghijklmnopqrstuvwxyz", "features", 26)) == list(
        "abcdefghijklmnopqrstuvwxyz"
    )
    lines = capsys.readouterr().out.splitlines()
    assert lines == ["  features: 11/26, 15 s left", "  features: 22/26, 4 s left"]


def test_quiet_shows_nothing_and_hands_on_everything(capsys, clock):
    progress.plan([Part("pretrain", 40), Part("fusion", 40)])
    progress.be_quiet()
    trained("pretrain")
    progress.say("calibrate", "thresholds")
    assert len(list(progress.over(range(40), "features", 40))) == 40
    assert capsys.readouterr() == ("", "") and progress.quiet()


@pytest.mark.parametrize(
    ("seconds", "text"), [(40, "40 s"), (119, "119 s"), (720, "12 min"), (11100, "3 h 05 min")]
)
def test_a_span_has_the_unit_of_a_person(seconds, text):
    assert naming.span(seconds) == text
