"""`python -m tests.tiny_python WORDS` is `python WORDS` on networks of a few weights.

It stands in for `python` where `tests/test_readme_runs.py` runs the lines of a README: programs,
flags and files are the real ones, and a training takes seconds.
"""

import os
import runpy
import sys

from asd_jax.recipes import classifier_network, networks
from tests.recipes import tiny

if __name__ == "__main__":
    networks.build, classifier_network.build = tiny.build, tiny.build_classifier
    sys.executable = os.environ["TINY_PYTHON"]  # what a sweep starts its runs with
    words = sys.argv[1:]
    if words[:1] == ["-m"]:
        sys.argv = words[1:]
        runpy.run_module(words[1], run_name="__main__", alter_sys=True)
    else:
        sys.argv = words
        runpy.run_path(words[0], run_name="__main__")
