"""One recording from its file to every machine's score: the detector here, or its ONNX file."""

import os
import tempfile
from typing import Any

import numpy as np

from asd_jax.data.decode import read_wave
from tests.benchmarks.ours.scoring import detector
from tests.benchmarks.protocol import Work
from tests.benchmarks.recordings import written


def onnx(found: Any, precision: str = "float32") -> tuple[Any, int]:
    """What scores int16 clips by an ONNX file, on all processors of this process; its size."""
    import onnxruntime

    from asd_jax.deploy import files, program

    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "detector.onnx")
        files.write(path, program.make_program(found, kind="int16", precision=precision))
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = len(os.sched_getaffinity(0))
        options.log_severity_level = 3
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        size = os.path.getsize(path)
    return lambda wave: session.run(["score"], {"wave": wave})[0], size


def build(variant: dict[str, Any], program: dict[str, Any]) -> Work:
    """Scores one file, or sixteen at once, live or by ONNX."""
    found, paths = detector(), written(16, 1)[: program["clips"]]
    about: dict[str, Any] = {"branches": len(found.scorers)}
    if variant["form"] == "onnx":
        score, about["bytes"] = onnx(found, variant.get("precision", "float32"))
    else:
        score = found.each_score

    def once() -> np.ndarray:
        return np.asarray(score(np.stack([read_wave(path) for path in paths])))

    assert once().shape == (len(paths), len(found.groups))
    return Work(once, about, lambda: {"score": once()})
