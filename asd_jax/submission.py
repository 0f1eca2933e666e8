"""Writes DCASE Task 2 submission files of a finished run.

    python -m asd_jax.submission --workdir=RUN --output=DIR

`anomaly_score_*.csv` holds `file name,score` and `decision_result_*.csv` `file name,0 or 1` of the
test clips, named as the challenge of that year wants it; see `asd_jax.report.submission`.
"""

from collections.abc import Sequence

from absl import flags

from asd_jax import commands
from asd_jax.errors import UserError

WORKDIR = flags.DEFINE_string("workdir", None, "The folder of a finished run.", allow_override=True)
OUTPUT = flags.DEFINE_string(
    "output", None, "The folder to write the files into.", allow_override=True
)
YEAR = flags.DEFINE_integer(
    "year", None, "Of the challenge, 2020 to 2025; default: that of the run's data set."
)


def main(argv: Sequence[str]) -> int:
    """Writes the files and names them."""
    if not WORKDIR.value or not OUTPUT.value:
        raise UserError("give a finished run and a folder: --workdir=RUN --output=DIR.")
    if len(argv) > 1:
        raise UserError(f"{argv[1]} is not a flag; give --workdir=RUN --output=DIR.")
    from asd_jax.report import submission

    for path in submission.write_submission(WORKDIR.value, OUTPUT.value, year=YEAR.value):
        print(path)
    return 0


if __name__ == "__main__":
    commands.run(main)
