"""What a run keeps when it goes on under other notes."""

import dataclasses

from asd_jax.runs.run import Run, noted
from asd_jax.runs.workdir import Workdir


@dataclasses.dataclass(frozen=True)
class Corpus:
    notes: tuple[str, ...]


def test_a_noted_run_has_one_sentence_more_and_shares_the_programs_of_the_first():
    run = Run(None, Workdir(""), Corpus(("First.",)), None)
    later = noted(noted(run, "Second."), "Third.")
    assert later.corpus.notes == ("First.", "Second.", "Third.") and run.corpus.notes == ("First.",)
    assert later.shares_programs_with is run
