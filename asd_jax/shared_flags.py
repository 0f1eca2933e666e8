"""Flags that several commands have, each with words of its own.

absl keeps one flag of a name for all modules of a process. These may be defined again: the value is
that of the command line, whichever module asks, and each command's --help tells its own words.
"""

from absl import flags

flags.disclaim_key_flags()  # they are the flags of the modules that call


def detector() -> flags.FlagHolder:
    """`--detector`."""
    return _string("detector", "The folder `detector` of a finished run.")


def machine(help: str) -> flags.FlagHolder:
    """`--machine=TYPE/ID`."""
    return _string("machine", help)


def output(help: str) -> flags.FlagHolder:
    """`--output`, a path."""
    return _string("output", help)


def workdir(help: str) -> flags.FlagHolder:
    """`--workdir`, the folder of a run."""
    return _string("workdir", help)


def check(help: str) -> flags.FlagHolder:
    """`--check`, any number of paths."""
    return flags.DEFINE_multi_string("check", [], help, allow_override=True)


def _string(name: str, help: str) -> flags.FlagHolder:
    return flags.DEFINE_string(name, None, help, allow_override=True)
