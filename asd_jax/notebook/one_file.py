"""A notebook's detector as one ONNX file, for the computer beside the machine."""

import importlib
import os

from asd_jax.errors import UserError
from asd_jax.notebook import colab, command


def export(detector: str | os.PathLike[str], output: str | os.PathLike[str]) -> None:
    """Writes and checks the file, prints its size and latency, and hands it to the user.

    Colab gets what `asd_jax.export` needs by pip. Elsewhere nothing is installed: one sentence says
    what is missing, and the notebook goes on.

    Args:
        detector: the folder of a detector.
        output: the file; ends in `.onnx`.

    Raises:
        UserError: pip or the export failed; what they say stands above.
    """
    from asd_jax.deploy.files import check_packages

    try:
        check_packages(".onnx")
    except UserError as error:
        if not colab.on_colab():
            print(f"Not written: {error}")
            return
        # The kernel keeps the packages that it has loaded; the export is a process of its own.
        command.run("pip", "install", "-q", "-e", ".[onnx]")
        importlib.invalidate_caches()
    command.run("asd_jax.export", f"--detector={detector}", f"--output={output}")
    colab.hand_over(output)
