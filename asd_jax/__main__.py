"""All commands under one name: `asd-jax COMMAND ...`, or `python -m asd_jax COMMAND ...`."""

import runpy
import sys

# A line a command: the module that runs it, and what it does. `asd-jax NAME ARGUMENTS...` is
# `python -m MODULE ARGUMENTS...`.
COMMANDS = {
    "train": ("asd_jax.main", "makes a detector: --config=ensemble:folder --config.data.root=DIR"),
    "score": ("asd_jax.score", "scores recordings: --detector=RUN/detector PATH..."),
    "watch": ("asd_jax.watch", "scores what comes into a folder: --detector=RUN/detector DIR"),
    "monitor": ("asd_jax.monitor", "serves a page to watch a machine by"),
    "export": ("asd_jax.export", "writes a detector as one file, for ONNX or StableHLO"),
    "fetch": ("asd_jax.fetch", "gets a public data set, checked: mimii, dcase2020, ..."),
    "rescore": ("asd_jax.rescore", "scores a finished run anew with another scorer"),
    "compare": ("asd_jax.compare", "compares finished runs: RUN RUN... --output=FILE.html"),
    "sweep": ("asd_jax.sweep", "makes many runs: sun_table5, or a file of your own"),
    "doctor": ("asd_jax.doctor", "says what is installed, which devices there are, what is free"),
}


def usage() -> str:
    """The commands, a line each."""
    lines = [f"  {name:8} {what}" for name, (_, what) in COMMANDS.items()]
    return "\n".join(
        ["usage: asd-jax COMMAND ...", "", *lines, "", "asd-jax COMMAND --help tells its flags."]
    )


def main() -> None:
    """Runs the command that the first word names."""
    name = sys.argv[1] if len(sys.argv) > 1 else "--help"
    if name in ("--help", "-h", "help"):
        print(usage())
        return
    if name == "--version":
        from asd_jax import __version__

        print(f"asd_jax {__version__}")
        return
    if name not in COMMANDS:
        print(f"error: {name!r} is no command.\n\n{usage()}", file=sys.stderr)
        sys.exit(2)
    module = COMMANDS[name][0]
    sys.argv = [f"asd-jax {name}", *sys.argv[2:]]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
