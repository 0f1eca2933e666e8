"""Scores a finished run anew: `python -m asd_jax.rescore RUN --config.scoring.FIELD=VALUE...`.

Other scorers, weights or thresholds, from the features that the run has kept: seconds, without
training. The result is a new folder, RUN/rescored-<digest> or --output, with scores.csv,
results.json, report.html and detector/; RUN stays as it is.
"""

from collections.abc import Sequence
from typing import Any

from absl import flags

from asd_jax import commands
from asd_jax.errors import UserError

OUTPUT = flags.DEFINE_string(
    "output",
    None,
    "The new folder; default RUN/rescored-<digest of the settings>.",
    allow_override=True,
)


def define_config() -> None:
    """`--config.FIELD=VALUE`; not on import, for `asd_jax.main` has a flag of this name."""
    from ml_collections import config_flags

    from asd_jax.recipes.ensemble import settings
    from asd_jax.runs.settings import as_config

    defaults = as_config(settings.Ensemble())
    try:  # the command line is read at once
        config_flags.DEFINE_config_dict("config", defaults, "Fields of config.scoring to change.")
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        commands.fail(f"a --config field is wrong: {' '.join(str(a) for a in error.args)}")


def main(argv: Sequence[str]) -> int:
    """Scores the run `argv[1]` anew."""
    if len(argv) != 2:
        raise UserError("give the folder of one finished run.")
    flag: Any = flags.FLAGS["config"]  # of ml_collections' own kind
    changes = flag.override_values
    if not changes:
        raise UserError("give what to change, such as --config.scoring.scorer=knn.")
    commands.prepare_jax()
    from asd_jax.recipes.ensemble.rescoring import rescore

    rescore(argv[1].rstrip("/") or argv[1], changes, OUTPUT.value or "")
    return 0


if __name__ == "__main__":
    define_config()
    commands.run(main)
