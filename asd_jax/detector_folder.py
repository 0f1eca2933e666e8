"""The files of a detector: `detector.json` (settings, machines, names) and `arrays.npz`.

Every array is in the second, without pickle: a detector may come from anywhere. The first holds a
hash of both, so that the files of two saves, or a damaged one, are recognised.
"""

import contextlib
import hashlib
import io
import json
import math
import os
import shutil
import zipfile
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

import asd_jax
from asd_jax.errors import UserError, detail
from asd_jax.files import plain, remove_leftovers, replacing, why, write_json

# 1 held the networks' variables as training left them; before 4 no hash bound the two files.
FORMAT = 4
LARGEST = {"detector.json": 64 << 20, "arrays.npz": 8 << 30}  # bytes
_BEFORE = ".arrays.npz.before"  # those that belong to detector.json while both are replaced
LARGEST[_BEFORE] = LARGEST["arrays.npz"]
_DIGEST = "sha256"
_FORGOTTEN = 86400.0  # s after which what a killed write has left goes


class _DamageError(Exception):
    """The files are damaged; the message says how."""


def write_folder(folder: str, about: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
    """Writes both files in place of older ones; whenever it is killed, one pair is whole."""
    os.makedirs(folder, exist_ok=True)
    remove_leftovers(folder, older=_FORGOTTEN)
    about = {"format": FORMAT, "asd_jax": asd_jax.__version__, **about}
    arrays = {name: np.asarray(value) for name, value in arrays.items()}
    size = sum(value.nbytes for value in arrays.values())
    before = os.path.join(folder, _BEFORE)
    with (
        replacing(os.path.join(folder, "detector.json")) as text,
        replacing(os.path.join(folder, "arrays.npz"), needs=size) as temporary,
    ):
        with open(temporary, "wb") as file:
            # NumPy's stub thinks that any name may be `allow_pickle`.
            np.savez(file, **arrays)  # pyright: ignore[reportArgumentType]
        with open(temporary, "rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
        write_json(text, {**about, _DIGEST: _digest(about, found)})
        with contextlib.suppress(OSError, UserError, _DamageError):
            if _pair(folder)[2] == "arrays.npz":
                with replacing(before) as kept:
                    shutil.copyfile(os.path.join(folder, "arrays.npz"), kept)
    with contextlib.suppress(FileNotFoundError):
        os.remove(before)


def read_folder(folder: str) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Reads `detector.json` and the arrays of a folder; raises UserError if it is not one."""
    try:
        about, data, _ = _pair(folder)
        arrays = read_arrays(data)
    except OSError as error:
        raise UserError(
            f"{folder} holds no detector ({why(error)}: {os.fsdecode(error.filename or '')}); give "
            "the folder `detector` of a finished run."
        ) from error
    except (_DamageError, MemoryError) as error:
        raise UserError(
            f"{folder} holds no detector ({error or 'the memory is too small'}); give the folder "
            "`detector` of a finished run, or make it again by repeating the run's command."
        ) from error
    return about, arrays


def _pair(folder: str) -> tuple[dict[str, Any], bytes, str]:
    """What detector.json holds, the bytes of the arrays that belong to it, and their file's name.

    A write that was killed between its two files has left the arrays that belong to the first.
    """
    about = _json(_read(folder, "detector.json"))
    if not isinstance(about.get("format", 0), int):
        raise _DamageError("its format is not a number")
    if about.get("format", 0) > FORMAT:
        raise UserError(f"{folder} was written by a newer asd_jax ({about.get('asd_jax')}).")
    data = _read(folder, "arrays.npz")
    digest = about.pop(_DIGEST, None)
    if digest is None and about.get("format", 0) >= 4:
        raise _DamageError("detector.json has lost its hash")
    if digest in (None, _digest(about, hashlib.sha256(data).hexdigest())):
        return about, data, "arrays.npz"
    if os.path.isfile(os.path.join(folder, _BEFORE)):
        data = _read(folder, _BEFORE)
        if digest == _digest(about, hashlib.sha256(data).hexdigest()):
            return about, data, _BEFORE
    raise _DamageError("its files are damaged, or of two detectors")


def read_arrays(data: bytes) -> dict[str, np.ndarray]:
    """The arrays of an .npz file that `np.savez` wrote, each no larger than the bytes it is in.

    Raises:
        ValueError: it is damaged, or holds something that is not an array of numbers or text.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as file:
            members = file.infolist()
            if sum(member.file_size for member in members) > len(data):
                raise _DamageError("it unfolds to more than it holds")
            return {m.filename.removesuffix(".npy"): _array(file.read(m)) for m in members}
    except Exception as error:  # zipfile and NumPy raise whatever they stumble over
        raise _ArraysError(f"its arrays are damaged: {detail(error, 120)}") from error


class _ArraysError(_DamageError, ValueError):
    pass


def _array(data: bytes) -> np.ndarray:
    """The array of an .npy file."""
    file = io.BytesIO(data)
    version = np.lib.format.read_magic(file)
    headers = {(1, 0): "read_array_header_1_0", (2, 0): "read_array_header_2_0"}
    shape, by_column, dtype = getattr(np.lib.format, headers[version])(file)
    left = len(data) - file.tell()
    if dtype.kind not in "biufU" or dtype.subdtype:
        raise _DamageError(f"{dtype} is not a number")
    if math.prod(shape) * dtype.itemsize != left or min(shape, default=0) < 0:
        raise _DamageError(f"{shape} of {dtype} are not {left} bytes")
    values = np.frombuffer(bytearray(data[len(data) - left :]), dtype)
    return values.reshape(shape, order="F" if by_column else "C")


def _read(folder: str, name: str) -> bytes:
    path = os.path.join(folder, name)
    if not os.path.isfile(path) and os.path.exists(path):
        raise _DamageError(f"{name} is not a file")
    with open(path, "rb") as file:
        data = file.read(LARGEST[name] + 1) if os.path.getsize(path) <= LARGEST[name] else None
    if data is None or len(data) > LARGEST[name]:
        raise _DamageError(f"{name} has more than {LARGEST[name] >> 20} MB")
    return data


def _json(data: bytes) -> dict[str, Any]:
    try:
        about = json.loads(data.decode("utf-8", "surrogateescape"), parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise _DamageError(f"detector.json is damaged: {detail(error, 120)}") from error
    if not isinstance(about, dict):
        raise _DamageError("detector.json is damaged")
    return about


def _no_number(name: str) -> None:
    raise ValueError(f"{name} is not a number")


def _digest(about: Mapping[str, Any], arrays: str) -> str:
    """The hash of what detector.json holds and of the file of arrays."""
    text = json.dumps([plain(about), arrays], sort_keys=True)
    return hashlib.sha256(text.encode("ascii")).hexdigest()


@contextlib.contextmanager
def understood(folder: str) -> Iterator[None]:
    """Turns whatever goes wrong with a detector whose files were read into one sentence.

    The content is somebody else's, so no list of errors that it may cause would be complete.

    Raises:
        UserError: in place of the errors of a damaged or outdated detector.
    """
    try:
        yield
    except Exception as error:
        lost = " is missing" * isinstance(error, KeyError)
        raise UserError(
            f"{folder} holds a detector that this version cannot use ({detail(error, 300)}{lost}); "
            "make it again by repeating the run's command."
        ) from error


def expect(
    arrays: Mapping[str, np.ndarray], name: str, *shape: int | None, finite: bool = True
) -> np.ndarray:
    """One of a detector's arrays, of the shape and kind that its settings ask for.

    Args:
        arrays: of the detector.
        name: of the array.
        shape: of each axis; None for any size.
        finite: whether NaN is refused too; infinity always is.

    Raises:
        ValueError: it is another.
        KeyError: it is missing.
    """
    value = arrays[name]
    fits = len(value.shape) == len(shape) and all(
        wanted in (None, found) for wanted, found in zip(shape, value.shape, strict=True)
    )
    if not fits or value.dtype.kind != "f":
        wanted = tuple("any" if size is None else size for size in shape)
        raise ValueError(f"{name} is {value.dtype} {value.shape}, not numbers {wanted}")
    if np.isinf(value).any() or (finite and np.isnan(value).any()):
        raise ValueError(f"{name} holds numbers that are not finite")
    return value


def check_names(arrays: Mapping[str, np.ndarray], known: tuple[str, ...]) -> None:
    """Raises ValueError for an array whose name begins with none of `known`."""
    for name in arrays:
        if not name.startswith(known):
            raise ValueError(f"an array {name!r}, which no detector has")


def check_variables(variables: Mapping[str, np.ndarray]) -> None:
    """Raises ValueError where a network's numbers are none, or not finite."""
    for name, value in variables.items():
        expect(variables, name, *value.shape)


def check_groups(groups: Any) -> tuple[tuple[str, str], ...]:
    """The machines as `detector.json` holds them; raises ValueError where they are none."""
    found = tuple(tuple(group) for group in groups)
    texts = all(len(g) == 2 and all(isinstance(word, str) for word in g) for g in found)
    if not found or not texts or len(set(found)) < len(found):
        raise ValueError("its machines have no two names each")
    return found


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
