"""The files of a detector: `detector.json` (settings, machines, names) and `arrays.npz`.

Every array is in the second, without pickle: a detector may come from anywhere.
"""

import json
import os
from collections.abc import Mapping
from typing import Any

import numpy as np

import asd_jax
from asd_jax.errors import UserError
from asd_jax.files import replacing, write_json

# 1 held the networks' variables as training left them.
FORMAT = 3


def write_folder(folder: str, about: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
    """Writes both files; older ones in their place are replaced one by one."""
    os.makedirs(folder, exist_ok=True)
    with replacing(os.path.join(folder, "arrays.npz")) as temporary, open(temporary, "wb") as file:
        # NumPy's stub thinks that any name may be `allow_pickle`.
        np.savez(file, **{name: np.asarray(value) for name, value in arrays.items()})  # pyright: ignore[reportArgumentType]
    about = {"format": FORMAT, "asd_jax": asd_jax.__version__, **about}
    write_json(os.path.join(folder, "detector.json"), about)


def read_folder(folder: str) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """`detector.json` and the arrays of a detector folder; raises UserError if it is none."""
    try:
        with open(os.path.join(folder, "detector.json"), encoding="utf-8") as file:
            about = json.load(file)
        with np.load(os.path.join(folder, "arrays.npz"), allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except (OSError, ValueError, KeyError) as error:
        raise UserError(
            f"{folder} holds no detector ({error}); give the folder `detector` of a finished run."
        ) from error
    if about.get("format", 0) > FORMAT:
        raise UserError(f"{folder} was written by a newer asd_jax ({about.get('asd_jax')}).")
    return about, arrays


def below(arrays: Mapping[str, np.ndarray], prefix: str) -> dict[str, np.ndarray]:
    """The arrays whose names start with `prefix`, without it."""
    return {n[len(prefix) :]: value for n, value in arrays.items() if n.startswith(prefix)}


def flatten_tree(tree: Mapping[str, Any], prefix: str = "") -> dict[str, np.ndarray]:
    """Nested mappings and named tuples of arrays as `{"a/b": array}`; None is left out."""
    flat: dict[str, np.ndarray] = {}
    for name, value in tree.items():
        if hasattr(value, "_asdict"):
            value = value._asdict()
        if isinstance(value, Mapping):
            flat |= flatten_tree(value, f"{prefix}{name}/")
        elif value is not None:
            flat[prefix + name] = np.asarray(value)
    return flat


def unflatten_tree(flat: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """The nested mappings of `flatten_tree`."""
    tree: dict[str, Any] = {}
    for name, value in flat.items():
        *parents, leaf = name.split("/")
        node = tree
        for parent in parents:
            node = node.setdefault(parent, {})
        node[leaf] = value
    return tree


def restore_normaliser(fields: Mapping[str, Any]) -> Any:
    """The named tuple that `flatten_tree` took apart."""
    from asd_jax.features.normalise import Normaliser

    return Normaliser(**fields)
