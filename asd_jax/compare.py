"""Compares finished runs: `python -m asd_jax.compare RUN RUN... [--output=FILE.html]`.

Mean and each machine's AUC and pAUC, what each run's are beyond the first run's with an interval
from the same clips, and the settings that differ.
"""

from collections.abc import Sequence

from absl import flags

from asd_jax import commands

OUTPUT = flags.DEFINE_string(
    "output", None, "A page to write the comparison to, FILE.html.", allow_override=True
)


def main(argv: Sequence[str]) -> int:
    """Compares the runs `argv[1:]`."""
    from asd_jax.report import comparison

    members = comparison.compare(argv[1:])
    print(comparison.as_text(members))
    if OUTPUT.value:
        comparison.write_page(OUTPUT.value, members)
        print(f"\nOpen {OUTPUT.value}.")
    return 0


if __name__ == "__main__":
    commands.run(main)
