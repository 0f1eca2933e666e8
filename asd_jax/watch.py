"""Scores what comes into a folder: `python -m asd_jax.watch --detector=RUN/detector DIR`.

It is `asd_jax.score --detector=RUN/detector --watch=DIR`, and takes the same flags.
"""

from collections.abc import Sequence

from absl import flags

from asd_jax import commands, score
from asd_jax.errors import UserError
from asd_jax.live import options

flags.adopt_module_key_flags(score)


def main(argv: Sequence[str]) -> int:
    """Watches the folder `argv[1]`."""
    if len(argv) != 2 or options.WATCH.value:
        raise UserError("give the one folder to watch: asd-jax watch --detector=DETECTOR DIR.")
    flags.FLAGS.watch = [argv[1]]
    return score.main(argv[:1])


if __name__ == "__main__":
    commands.run(main)
