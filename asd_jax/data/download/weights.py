"""timm's weights by name, from Hugging Face's hub: fetched once, checked, licence and hash kept.

The hub's listing of a repository gives revision, licence and the sha256 of each large file. The
file of that revision is fetched and must have that hash, and for the names in `KNOWN` the one that
stands there. Beside it lies `<name>.json` with all of it, which later runs hold it against.
"""

import json
import os
import pathlib
from typing import Any

from absl import logging

from asd_jax.data.download import transfer
from asd_jax.data.download.responses import Patience
from asd_jax.errors import UserError
from asd_jax.files import private_folder, write_json

HUB = "https://huggingface.co"  # $HF_ENDPOINT names a mirror, as for the hub's own tools
FILE = "model.safetensors"
FREE = ("apache-2.0", "mit", "bsd-3-clause", "cc-by-4.0")  # nothing to agree to
# The sha256 of `FILE` as the hub's pages of these repositories state it.
KNOWN = {
    "tf_efficientnetv2_s.in1k": "b8a4b5462df66612e3c0e63781f73f7890ccdac8bcd950b4fc0ba0c0f29bda1f",
    "tf_efficientnet_b0.aa_in1k": (
        "bc97e48e1360ee9d9c9d8a39ad2fb9b85ad150eb89d6fc69cd0f08301b5e0b3e"
    ),
    "tf_efficientnet_b0.ap_in1k": (
        "07f60b4aa1a82bb743812f5c53cc5e56ec9c8d770ecdc11fdb52df67a2e4269d"
    ),
    "tf_efficientnet_b1.aa_in1k": (
        "44df4f85e844442fe761fb0ce92a9e4b96b2ec5d209e9169956fe033da180145"
    ),
    "tf_efficientnet_b2.in1k": "7baae812d58f483b6c3ada0e445b93c40740776a5d007bf0fdbf8a4adfa5f348",
}


def find(given: str, network: str, *, patience: Patience | None = None) -> str:
    """The path of the weights that `config.init_from` names, fetched if need be.

    Args:
        given: a file, which is left as it is, or a name such as 'tf_efficientnetv2_s.in1k'.
        network: our network that they are for.
        patience: timeouts and retries.

    Raises:
        UserError: a name of another network; the hub lacks it, or has another file; or its licence
            has to be agreed to.
    """
    if os.path.exists(given) or "/" in given or os.sep in given or given.endswith(".safetensors"):
        return given
    stem = {"ghostnetv2": "ghostnetv2_100", "mobilevit_s": "mobilevit_s"}.get(network, network)
    stem = f"tf_{stem}." if network.startswith("efficientnet") else f"{stem}."
    if not given.startswith(stem):
        raise UserError(
            f"config.init_from is {given!r}, which is neither a file nor the name of weights of "
            f"{network}: those begin with {stem!r}, such as {stem}in1k."
        )
    folder = private_folder("weights", "No weights are kept")
    if folder is None:
        raise UserError(
            f"config.init_from: {given} has no place in the cache, as the warning says; mend that, "
            "or give the path of the file."
        )
    path = pathlib.Path(folder, f"{given}.safetensors")
    note = path.with_suffix(".safetensors.json")
    if path.exists():
        if note.exists() and transfer.matches(path, f"sha256:{_noted(note)}"):
            return str(path)
        path.unlink()
    facts = _facts(given, patience or Patience())
    logging.info("%s: %s, from %s", given, facts["licence"], facts["url"])
    _download(given, facts, path, patience)
    write_json(note, facts)
    return str(path)


def _noted(note: pathlib.Path) -> str:
    """The hash in a note; no hash where it is damaged."""
    try:
        return str(json.loads(note.read_text(encoding="utf-8"))["sha256"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return "damaged"


def _facts(name: str, patience: Patience) -> dict[str, Any]:
    """Reads the hub's facts of the file; refuses those that can't be relied on."""
    hub = os.environ.get("HF_ENDPOINT", HUB).rstrip("/")
    found = transfer.read_json(f"{hub}/api/models/timm/{name}?blobs=true", patience=patience)
    page = f"{hub}/timm/{name}"
    try:
        revision, licence = found["sha"], str(found["cardData"]["license"])
        (blob,) = (file for file in found["siblings"] if file["rfilename"] == FILE)
        sha256, size = blob["lfs"]["sha256"], int(blob["lfs"]["size"])
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(
            f"config.init_from: {hub} tells no {FILE} of timm/{name}; check the name, or fetch the "
            f"file of {page} yourself and give its path."
        ) from error
    if KNOWN.get(name, sha256) != sha256:
        raise UserError(
            f"config.init_from: {page} has another file than the known one (sha256 {sha256}, not "
            f"{KNOWN[name]}); look at it, and give its path if you trust it."
        )
    if licence not in FREE:
        raise UserError(
            f"config.init_from: timm/{name} is under the licence {licence!r}; read it at {page}, "
            "and if you agree fetch the file yourself and give its path."
        )
    url = f"{page}/resolve/{revision}/{FILE}"
    return {"name": name, "url": url, "licence": licence, "sha256": sha256, "size": size}


def _download(name: str, facts: Any, path: pathlib.Path, patience: Patience | None) -> None:
    checksum = f"sha256:{facts['sha256']}"
    try:
        transfer.download(
            facts["url"], path, size=facts["size"], checksum=checksum, patience=patience
        )
    except UserError as error:
        reason = str(error).split(";")[0].rstrip(".")
        raise UserError(
            f"config.init_from: {name} was not fetched: {reason}; try later, name a mirror in "
            "$HF_ENDPOINT, or give the path of the file."
        ) from error
