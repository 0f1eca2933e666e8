"""What mkdocs makes of the README files and the package: pages that are written nowhere twice.

A line `<!-- include: FILE.md#Heading -->` becomes that section of the file, `FILE.md` all of it
but its title. Each package gets a page of its docstrings, each folder's README one of its own.
Links to files that are no page go to the repository, if its address is known.
"""

import pathlib
import re
import runpy

from mkdocs.structure.files import File

ROOT = pathlib.Path(__file__).resolve().parents[1]
ADDRESS = runpy.run_path(str(ROOT / "colab" / "address.py"))["address"]()
PICTURE = "asd_jax/live/monitor.png"
FOLDERS = [
    *sorted(file.parent for file in (ROOT / "asd_jax").rglob("README.md")),
    *(ROOT / name for name in ("configs", "launch", "tests/benchmarks")),
]
# Pages that are written in docs/, by the file that a README links to instead.
PAGES = {"README.md": "index.md", "docs/results.md": "results.md", "CONTRIBUTING.md": "adding.md"}
PAGES |= {f"{f.relative_to(ROOT)}/README.md": f"inside/{f.name}.md" for f in FOLDERS}
_INCLUDE = re.compile(r"^<!-- include: ([\w./]+?)(?:#(.+?))? -->$", re.MULTILINE)
_LINK = re.compile(r"(!?)\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^()\s]+)\)")


def on_config(config):
    """The repository's address, where it is one that can be opened."""
    if not ADDRESS.endswith(".invalid") and ".invalid/" not in ADDRESS:
        config.repo_url = ADDRESS
    return config


def on_files(files, config):
    """Adds the pages of folders and packages, and the picture."""
    made = {f"inside/{f.name}.md": f"# {f.relative_to(ROOT)}\n\n{_include(f)}\n" for f in FOLDERS}
    for package in ["asd_jax", *packages()]:
        made[f"api/{package.removeprefix('asd_jax.')}.md"] = api(package)
    for name, text in made.items():
        files.append(File.generated(config, name, content=text))
    image = File.generated(config, "monitor.png", abs_src_path=str(ROOT / PICTURE))
    files.append(image)
    return files


def on_page_markdown(markdown, page, config, files):
    """Puts the included sections in."""
    markdown = _linked(markdown, ROOT / "docs", page.file.src_uri)
    return _INCLUDE.sub(lambda m: section(m[1], m[2], page.file.src_uri), markdown)


def packages():
    """The packages directly below asd_jax."""
    found = (ROOT / "asd_jax").glob("*/__init__.py")
    return sorted(f"asd_jax.{file.parent.name}" for file in found)


def api(package):
    """The page of a package: of the top one, its modules alone."""
    if package != "asd_jax":
        options = "\n    options:\n      show_submodules: true\n      heading_level: 1"
        return f"::: {package}{options}\n"
    first = ("estimator", "detector")
    rest = sorted(f.stem for f in (ROOT / "asd_jax").glob("[a-z]*.py") if f.stem not in first)
    names = [*first, *rest]
    return "# asd_jax\n\n" + "\n".join(f"::: asd_jax.{name}\n" for name in names)


def section(name, heading, page):
    """A section of a Markdown file, with links as they are from `page`."""
    file = ROOT / name
    if not file.exists():
        return ""
    text = file.read_text("utf-8")
    # Headings are looked for outside of code alone, where a comment begins with # too.
    code = [m.span() for m in re.finditer(r"^```.*?^```$", text, re.DOTALL | re.MULTILINE)]
    heads = [
        (m.start(), m.end(), len(m[1]), m[2])
        for m in re.finditer(r"^(#+) (.+)$", text, re.MULTILINE)
        if not any(start <= m.start() < end for start, end in code)
    ]
    if heading is None:
        begin, end = heads[0][1], len(text)
    else:
        found = [h for h in heads if h[3] == heading]
        if not found:
            raise ValueError(f"{name} has no heading {heading!r}, which {page} includes")
        _, begin, level, _ = found[0]
        end = min((h[0] for h in heads if h[0] > begin and h[2] <= level), default=len(text))
    return _linked(text[begin:end].strip(), file.parent, page)


def _include(folder):
    return f"<!-- include: {folder.relative_to(ROOT)}/README.md -->"


def _linked(text, folder, page):
    def replace(match):
        image, words, target = match.groups()
        if re.match(r"[a-z]+:|#", target):
            return match[0]
        path, hash_, anchor = target.partition("#")
        there = (folder / path).resolve()
        if there.is_dir() and (there / "README.md").exists():
            there = there / "README.md"
        name = str(there.relative_to(ROOT)) if there.is_relative_to(ROOT) else path
        up = "../" * page.count("/")
        if name == PICTURE:
            return f"{image}[{words}]({up}monitor.png)"
        if name.startswith("docs/") and folder == ROOT / "docs":
            return match[0]
        if name in PAGES:
            return f"[{words}]({up}{PAGES[name]}{hash_}{anchor})"
        known = ".invalid/" not in ADDRESS and not image
        return f"[{words}]({ADDRESS}/blob/HEAD/{name})" if known else words

    return _LINK.sub(replace, text)
