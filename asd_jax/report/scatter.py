"""The embedding in two dimensions: all machines at once, then each machine alone."""

import dataclasses

import numpy as np
from jaxtyping import Bool, Float
from markupsafe import Markup, escape

from asd_jax.naming import machine_name
from asd_jax.report.contents import Embedding
from asd_jax.report.curves import principal_plane
from asd_jax.report.svg import Panel, dots, triangles

_MOST_OVERVIEW = 1500  # points; more would make the file large and the picture no clearer
_MOST_MACHINE = 300


@dataclasses.dataclass(frozen=True)
class View:
    """One drawing: its name, the SVG, and a sentence on how much of the space it shows."""

    name: str
    svg: Markup
    held: str


def overview(embedding: Embedding) -> tuple[View, list[tuple[str, int]]] | None:
    """All clips, coloured by machine type; and the (type, colour number) of the legend.

    None for a single machine, whose own view shows the same, and for fewer than three clips.
    """
    keep = _keep(_finite(embedding), _MOST_OVERVIEW)
    groups = set(zip(embedding.machine_types, embedding.machine_ids, strict=True))
    if len(keep) < 3 or len(groups) < 2:
        return None
    types = np.array(embedding.machine_types, object)[keep]
    labels = np.asarray(embedding.labels)[keep]
    flat, held = _flatten(np.asarray(embedding.points)[keep])
    panel = _square(flat, 760, 380)
    order = list(dict.fromkeys(types.tolist()))
    for index, name in enumerate(order):
        for label, css in ((0, "dots"), (-1, "dots"), (1, "tri")):
            _marks(panel, flat[(types == name) & (labels == label)], f"{css} c{index % 8}", label)
    _names(panel, flat, types, np.array(embedding.machine_ids, object)[keep])
    where = (
        "Every test and training clip"
        if len(keep) == len(embedding.points)
        else "A sample of clips"
    )
    svg = panel.render(f"{where} in two dimensions, coloured by machine type.")
    return View("all machines", svg, _held(held)), [(name, k % 8) for k, name in enumerate(order)]


def machine_views(embedding: Embedding) -> list[View]:
    """One drawing a machine: training clips grey, healthy, faulty and unlabelled test clips."""
    finite = _finite(embedding)
    groups = list(zip(embedding.machine_types, embedding.machine_ids, strict=True))
    labels, views = np.asarray(embedding.labels), []
    train = np.array([split == "train" for split in embedding.splits], bool)
    for group in dict.fromkeys(groups):
        member = finite & np.array([other == group for other in groups], bool)
        keep = _keep(member, _MOST_MACHINE)
        if len(keep) < 3:
            continue
        kind = np.where(train[keep], 2, labels[keep])
        flat, held = _flatten(np.asarray(embedding.points)[keep])
        panel = _square(flat, 260, 190)
        for which, css in ((2, "dots train"), (-1, "dots unknown"), (0, "dots healthy")):
            _marks(panel, flat[kind == which], css, 0)
        _marks(panel, flat[kind == 1], "tri faulty", 1)
        name = machine_name(group, groups) or "the machine"
        svg = panel.render(f"Clips of {name} in two dimensions.")
        views.append(View(name, svg, _held(held)))
    return views


def _finite(embedding: Embedding) -> Bool[np.ndarray, " clips"]:
    return np.asarray(np.isfinite(np.asarray(embedding.points)).all(axis=1))


def _keep(chosen: Bool[np.ndarray, " clips"], most: int) -> np.ndarray:
    """Indices of at most `most` of the chosen clips, evenly spread over their order."""
    found = np.flatnonzero(chosen)
    if len(found) <= most:
        return found
    return found[np.linspace(0, len(found) - 1, most).astype(int)]


def _flatten(
    points: Float[np.ndarray, "clips dim"],
) -> tuple[Float[np.ndarray, "clips 2"], float | None]:
    if points.shape[1] == 2:
        return np.asarray(points, np.float64), None
    return principal_plane(points)


def _held(share: float | None) -> str:
    return "" if share is None else f"{100 * share:.0f} % of the variation"


def _square(flat: Float[np.ndarray, "clips 2"], width: float, height: float) -> Panel:
    """A panel without axes that shows all points, one unit equally long both ways."""
    low, high = flat.min(axis=0), flat.max(axis=0)
    scale = max((high[0] - low[0]) / (width - 24), (high[1] - low[1]) / (height - 24), 1e-12)
    middle = (low + high) / 2
    half = np.array([width - 24, height - 24]) * scale / 2
    x = (float(middle[0] - half[0]), float(middle[0] + half[0]))
    y = (float(middle[1] - half[1]), float(middle[1] + half[1]))
    return Panel(width, height, x=x, y=y, left=12, right=12, top=12, bottom=12)


def _marks(panel: Panel, flat: Float[np.ndarray, "clips 2"], css: str, label: int) -> None:
    if len(flat):
        pixels = [(panel.px(x), panel.py(y)) for x, y in flat.tolist()]
        panel.add(f'<path class="{css}" d="{triangles(pixels) if label == 1 else dots(pixels)}"/>')


def _names(panel: Panel, flat: np.ndarray, types: np.ndarray, ids: np.ndarray) -> None:
    """Writes each machine's name in the middle of its clips, where there is room for it."""
    taken: list[tuple[float, float]] = []
    groups = dict.fromkeys(zip(types.tolist(), ids.tolist(), strict=True))
    for group in groups:
        member = (types == group[0]) & (ids == group[1])
        x, y = np.median(flat[member], axis=0)
        name = machine_name(group, groups)
        margin = 4 * len(name)  # about half of its width: it must not leave the picture
        at = (panel.px(float(x)), panel.py(float(y)))
        at = (min(max(at[0], margin), panel.width - margin), at[1])
        if any(abs(at[0] - a) < 60 and abs(at[1] - b) < 13 for a, b in taken):
            continue
        taken.append(at)
        panel.add(
            f'<text class="t strong halo" x="{at[0]:.1f}" y="{at[1]:.1f}" '
            f'text-anchor="middle">{escape(name)}</text>'
        )
