"""What every stage of a run needs."""

import dataclasses
from collections.abc import Callable
from typing import Any

from absl import logging

from asd_jax.runs.workdir import Workdir
from asd_jax.train.ahead import Ahead
from asd_jax.types import Variables


@dataclasses.dataclass(frozen=True)
class Run:
    """A run of a recipe; each recipe adds what it reads off its networks.

    Attributes:
        config: its settings.
        workdir: its folder.
        corpus: its clips, with `notes` for the user.
        nets: its networks, by attribute.
        shares_programs_with: a run of the same networks, whose compiled programs this one uses.
    """

    config: Any
    workdir: Workdir
    corpus: Any
    nets: Any
    shares_programs_with: "Run | None" = None

    def prepare(self, shapes: Callable[[], Variables], ahead: Ahead) -> None:
        """Compiles ahead of time what comes between and after the stages."""


def noted(run: Any, sentence: str) -> Any:
    """The run with one more sentence for its log, its results and its report."""
    logging.warning("%s", sentence)
    corpus = dataclasses.replace(run.corpus, notes=(*run.corpus.notes, sentence))
    return dataclasses.replace(
        run, corpus=corpus, shares_programs_with=run.shares_programs_with or run
    )
