"""Compares finished runs: `python -m asd_jax.compare RUN RUN... [--output=FILE.html]`.

Mean and each machine's AUC and pAUC, what each run's are beyond the first run's with an interval
from the same clips, and the settings that differ.
"""

from collections.abc import Sequence

from asd_jax import commands, shared_flags

OUTPUT = shared_flags.output("A page to write the comparison to, FILE.html.")


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
