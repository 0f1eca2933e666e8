"""Writes a program as ONNX or as StableHLO, and runs what was written."""

import dataclasses
import importlib.util
import json
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import jax
import jax.export  # no part of jax until it is imported
import jax.numpy as jnp
import numpy as np

from asd_jax import target
from asd_jax.deploy import inline
from asd_jax.deploy.program import OUTPUTS, Program
from asd_jax.errors import UserError

PLATFORMS = ("cpu", "cuda", "rocm", "tpu")
FORMS = {"cuda": "gpu", "rocm": "gpu"}  # how `asd_jax.target` calls them
# What each kind of file needs besides asd_jax, and how to get it.
PACKAGES = {".onnx": ("jax2onnx", "onnx", "onnxruntime"), ".stablehlo": ("flatbuffers",)}
Reader = Callable[[np.ndarray], tuple[np.ndarray, ...]]


def check_packages(suffix: str) -> None:
    """Raises UserError with the pip command where a package for such files is missing."""
    names = PACKAGES[".onnx" if suffix == ".onnx" else ".stablehlo"]
    missing = [name for name in names if importlib.util.find_spec(name) is None]
    if missing:
        raise UserError(
            f"a {suffix} file needs {', '.join(missing)}: pip install 'asd_jax[onnx]', "
            "or pip install -e '.[onnx]' in a clone."
        )


def write(path: str, program: Program, platforms: Sequence[str] = PLATFORMS) -> None:
    """Writes the program by the suffix of the path, for any size of batch.

    Args:
        path: ends in one of `asd_jax.deploy.SUFFIXES`.
        program: what to write.
        platforms: for StableHLO: where it will run.
    """
    if path.endswith(".onnx"):
        _write_onnx(path, program)
    else:
        _write_stablehlo(path, program, platforms)


def read(path: str) -> tuple[Reader, dict[str, Any]]:
    """Returns a function that runs a written file, and the facts that the file holds."""
    return _read_onnx(path) if path.endswith(".onnx") else _read_stablehlo(path)


def _free_batch(program: Program) -> jax.ShapeDtypeStruct:
    batch = jax.export.symbolic_shape("batch")[0]
    return jax.ShapeDtypeStruct((batch, program.samples), program.dtype)


def _write_onnx(path: str, program: Program) -> None:
    from jax2onnx import to_onnx  # pyright: ignore[reportMissingImports]  the extra `onnx`

    wave = _free_batch(program)
    # Fourier transforms as matrix products (a DFT with a free batch does not load in onnxruntime)
    # and plain convolutions instead of the forms that XLA's CPUs like.
    with target.compiling_for("onnx"):
        closed = jax.make_jaxpr(program.run)(program.arrays, wave)
    leaves = jax.tree.leaves(program.arrays)
    with _quiet("onnx_ir", "jax2onnx"):
        model = to_onnx(
            lambda x: inline.evaluate(closed, *leaves, x),
            [wave],
            model_name="asd_jax",
            input_names=["wave"],
            output_names=list(OUTPUTS),
        )
    for name, value in program.about.items():
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        model.metadata_props.add(key=name, value=text)
    with open(path, "wb") as file:
        file.write(model.SerializeToString())


def _read_onnx(path: str) -> tuple[Reader, dict[str, Any]]:
    import onnxruntime  # pyright: ignore[reportMissingImports]  the extra `onnx`

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # its warnings are about shapes of no interest here
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    found = session.get_modelmeta().custom_metadata_map

    def run(wave: np.ndarray) -> tuple[np.ndarray, ...]:
        return tuple(session.run(list(OUTPUTS), {"wave": wave}))

    return run, {name: _value(text) for name, text in found.items()}


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _write_stablehlo(path: str, program: Program, platforms: Sequence[str]) -> None:
    arrays = jax.tree.map(jnp.asarray, program.arrays)

    def traced_for(platform: str) -> Callable[[jax.Array], Any]:
        def run(wave: jax.Array) -> Any:
            with target.compiling_for(platform):
                return program.run(arrays, wave)

        return run

    def by_name(wave: jax.Array) -> dict[str, jax.Array]:
        # Each kind of device runs the forms that suit it.
        forms = {name: traced_for(FORMS.get(name, name)) for name in platforms}
        found = jax.lax.platform_dependent(wave, **forms)
        return dict(zip(OUTPUTS, found, strict=True))

    exported = jax.export.export(jax.jit(by_name), platforms=tuple(platforms))(_free_batch(program))
    # The one text that the format has room for.
    exported = dataclasses.replace(exported, fun_name=json.dumps(program.about, ensure_ascii=False))
    with open(path, "wb") as file:
        file.write(exported.serialize())


def _read_stablehlo(path: str) -> tuple[Reader, dict[str, Any]]:
    with open(path, "rb") as file:
        exported = jax.export.deserialize(bytearray(file.read()))
    call = jax.jit(exported.call)

    def run(wave: np.ndarray) -> tuple[np.ndarray, ...]:
        found = call(wave)
        return tuple(np.asarray(found[name]) for name in OUTPUTS)

    return run, json.loads(exported.fun_name)


@contextmanager
def _quiet(*names: str) -> Iterator[None]:
    """Keeps the loggers' warnings about their own work from the user."""
    loggers = [logging.getLogger(name) for name in names]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
