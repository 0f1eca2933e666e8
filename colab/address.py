"""Where the project lies: `python colab/address.py [--write]`.

The one setting is `urls.Repository` of pyproject.toml. A clone knows better: its remote `origin`
comes first, so a fork's notebooks fetch the fork. --write puts the address that is printed into
pyproject.toml, and from there into the notebooks. Until somebody has published the project, it is
a name that nobody can register (RFC 6761, `.invalid`).
"""

import json
import pathlib
import re
import subprocess
import sys
import tomllib

ROOT = pathlib.Path(__file__).resolve().parents[1]
NOTEBOOKS = sorted((ROOT / "colab").glob("*.ipynb"))
_SETTING = re.compile(r'^REPOSITORY = ".*?"', re.MULTILINE)
_WHERE = re.compile(r"^(\[!\[Open in Colab\]|To open this on Colab).*$", re.MULTILINE)


def setting() -> str:
    """The address that pyproject.toml has."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    return project["urls"]["Repository"]


def as_address(remote: str) -> str:
    """A remote as an address that a browser opens, without user and password; "" for a folder.

    >>> as_address("git@github.com:someone/asd_jax.git")
    'https://github.com/someone/asd_jax'
    """
    found = re.fullmatch(
        r"(?:(?:https?|ssh|git)://)?(?:[^@/]+@)?([\w.-]+\.\w+)(?::\d+(?=/))?[:/](.+?)(?:\.git)?/?",
        remote.strip(),
    )
    return f"https://{found[1]}/{found[2]}" if found else ""


def address() -> str:
    """The clone's own remote, or else the setting."""
    line = ["git", "-C", str(ROOT), "remote", "get-url", "origin"]
    try:
        remote = subprocess.run(line, capture_output=True, text=True, check=False).stdout
    except OSError:  # a copy without git
        remote = ""
    return as_address(remote) or setting()


def opening(where: str, notebook: str) -> str:
    """The line of a notebook that opens it on Colab, which knows GitHub alone."""
    found = re.fullmatch(r"https://github\.com/([\w.-]+/[\w.-]+)", where)
    if not found:
        return (
            "To open this on Colab: *File*, *Upload notebook* at "
            "[colab.research.google.com](https://colab.research.google.com)."
        )
    site = "https://colab.research.google.com"
    page = f"{site}/github/{found[1]}/blob/main/colab/{notebook}"
    return f"[![Open in Colab]({site}/assets/colab-badge.svg)]({page})"


def written(text: str, where: str, name: str) -> str:
    """A notebook's JSON with the address in its two places."""
    notebook = json.loads(text)
    for cell in notebook["cells"]:
        source = "".join(cell["source"])
        source = _WHERE.sub(lambda _: opening(where, name), source)
        source = _SETTING.sub(lambda _: f'REPOSITORY = "{where}"', source)
        cell["source"] = source.splitlines(keepends=True)
    return json.dumps(notebook, indent=1, ensure_ascii=False) + "\n"


def write(where: str) -> None:
    """Puts an address into pyproject.toml and the notebooks."""
    file = ROOT / "pyproject.toml"
    line = re.compile(r'^Repository = ".*?"', re.MULTILINE)
    text = line.sub(lambda _: f'Repository = "{where}"', file.read_text("utf-8"))
    file.write_text(text, "utf-8")
    for path in NOTEBOOKS:
        path.write_text(written(path.read_text("utf-8"), where, path.name), "utf-8")


if __name__ == "__main__":
    print(address())
    if sys.argv[1:] == ["--write"]:
        write(address())
