"""What the command modules share: how a program starts, and how an error reaches its user.

absl keeps one flag of a name for all modules of a process. A flag that several commands have is
defined by each, with words of its own and `allow_override`.
"""

import functools
import logging as std_logging
import os
import re
import sys
import threading
import traceback
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from absl import app, flags, logging

from asd_jax import memory, project
from asd_jax.errors import Interrupted, PeerLost, UserError, WriteError
from asd_jax.files import private_folder, why
from asd_jax.naming import printable


class _Plain(std_logging.Formatter):
    """Formats a record as time, level and message, without control characters."""

    def formatMessage(self, record: std_logging.LogRecord) -> str:
        if isinstance(record.args, tuple):
            shown = (printable(a) if isinstance(a, str) else a for a in record.args)
            record.message = str(record.msg) % tuple(shown) if record.args else str(record.msg)
        record.message = "\n".join(printable(line) for line in record.message.split("\n"))
        return super().formatMessage(record)


_PLAIN = _Plain("%(asctime)s %(levelname)s: %(message)s", "%H:%M:%S")
STOPPED = 130  # the exit status of a shell for a program ended by Ctrl-C


def fail(sentence: str) -> NoReturn:
    """Prints one sentence to standard error and ends the program with status 2."""
    print(f"error: {sentence}", file=sys.stderr, flush=True)
    sys.exit(2)


def room_for_virtual_devices() -> None:
    """Threads enough for the virtual devices of a CPU, if there are any; before JAX's first use.

    XLA makes as many threads as there are devices or processors, and a device may wait in several
    collectives of a step at once. Then no thread is left for the devices that the others wait for,
    and after 40 s XLA aborts. NPROC, which it reads when it makes the devices, asks for more.
    """
    asked = re.search(
        r"xla_force_host_platform_device_count=(\d+)", os.environ.get("XLA_FLAGS", "")
    )
    number = int(asked[1] if asked else os.environ.get("JAX_NUM_CPU_DEVICES") or 1)
    if number > 1:
        os.environ.setdefault("NPROC", str(max(8 * number, os.cpu_count() or 1)))


def one_thread_for_linear_algebra() -> None:
    """NumPy's BLAS on one thread, unless the user says otherwise; before NumPy's import.

    Scorers need thousands of factorisations of small matrices. Several threads make none of them
    faster, and where other work wants the processors they wait for one another most of the time.
    """
    for name in ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(name, "1")


def prepare_jax() -> None:
    """Settings that belong before the first computation: devices, compilation cache, allocator."""
    memory.keep()
    room_for_virtual_devices()
    one_thread_for_linear_algebra()
    import jax

    # On a CPU a program's buffers then come from the main thread's heap, which grows and stays.
    # Another thread's heap holds 64 MB at most: beyond that each call maps its memory anew.
    jax.config.update("jax_cpu_enable_async_dispatch", False)
    config: Any = jax.config  # makes its fields at run time
    if not config.jax_compilation_cache_dir and (folder := private_folder("xla")):
        jax.config.update("jax_compilation_cache_dir", folder)
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.5)


def _parse(argv: Sequence[str]) -> list[str]:
    """Parses absl's flags; what a user can get wrong is one sentence, not a traceback."""
    try:
        return flags.FLAGS(project.with_config_files(argv))
    except UserError as error:
        fail(str(error))
    except flags.Error as error:
        fail(f"{error} Pass --help for the flags.")
    except OSError as error:
        fail(f"the config file {error.filename!r} cannot be read: {error.strerror}.")
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        fail(f"a --config field is wrong: {' '.join(str(a) for a in error.args)}")


def run(main: Callable[[Sequence[str]], int | None]) -> NoReturn:
    """Runs a command's `main` under absl and turns UserError into one sentence and status 2."""
    try:
        app.run(functools.partial(_guarded, main), flags_parser=_parse)
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(bool(end.code))
    except BaseException:
        traceback.print_exc()
        code = 1
    if code == STOPPED and _waits_for_others():  # all of them stop at the same step
        sys.modules["jax"].distributed.shutdown()
    if code and (threading.active_count() > 1 or _waits_for_others()):
        _end_now(code)
    sys.exit(code)


def _guarded(main: Callable[[Sequence[str]], int | None], argv: Sequence[str]) -> int:
    """Returns `main`'s status; reports what stops it in one sentence."""
    logging.use_absl_handler()
    if not flags.FLAGS["verbosity"].present:  # absl's own flag: 1 for debug, 0 for info, ...
        logging.set_verbosity(logging.WARNING)
    logging.get_absl_handler().setFormatter(_PLAIN)
    try:
        return main(argv) or 0
    except WriteError as error:
        print(f"error: {printable(error)}", file=sys.stderr)
        return 1
    except UserError as error:
        fail(printable(error))
    except OSError as error:
        if error.errno is None or isinstance(error, BrokenPipeError):
            raise
        logging.debug("%s", traceback.format_exc())
        where = os.fsdecode(error.filename or "a file")
        message = printable(f"{where}: {why(error)}; mend that, and the same command goes on.")
        print(f"error: {message}", file=sys.stderr)
        return 1
    except Interrupted as stop:
        print(f"{stop} The same command goes on from here.", file=sys.stderr)
        return STOPPED
    except PeerLost as error:
        print(f"error: {error} The same commands go on from the last save.", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nStopped. The same command goes on from here.", file=sys.stderr)
        if _waits_for_others():  # which have not agreed to it
            _end_now(STOPPED)
        return STOPPED


def _end_now(code: int) -> NoReturn:
    """Ends this process without its atexit functions, and without waiting for threads.

    A thread may be compiling for a stage that will not come. And where other processes make the
    same run, one with an error would wait for them to come to their end too, while they wait for it
    in a step: it is by its end that they learn of it.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _waits_for_others() -> bool:
    """Whether this process makes a run with others, which jax would wait for at the end."""
    return "jax" in sys.modules and sys.modules["jax"].distributed.is_initialized()
