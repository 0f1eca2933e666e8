"""`python -m tests.tiny_python WORDS` is `python WORDS` on networks of a few weights.

It stands in for `python` where tests run a public command: programs, flags and files are the real
ones, and a training takes seconds. TINY_PYTHON is what a sweep starts its runs with.
"""

import os
import runpy
import sys

from asd_jax.recipes.ensemble import networks
from asd_jax.recipes.pump_classifier import network as classifier_network
from tests.recipes import tiny

if __name__ == "__main__":
    networks.build, classifier_network.build = tiny.build, tiny.build_classifier
    sys.executable = os.environ.get("TINY_PYTHON", sys.executable)
    words = sys.argv[1:]
    if words[:1] == ["-m"]:
        sys.argv = words[1:]
        runpy.run_module(words[1], run_name="__main__", alter_sys=True)
    else:
        sys.argv = words
        runpy.run_path(words[0], run_name="__main__")
