"""Published numbers, to stand beside a run's own: never mixed with them, each with its source."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from asd_jax.naming import machine_name
from asd_jax.report.summary import three


@dataclasses.dataclass(frozen=True)
class Published:
    """What a paper or its authors print about one machine type; AUC and pAUC in [0, 1]."""

    machine: str
    system: str
    auc: float
    pauc: float | None  # up to a false-alarm rate of 0.1
    snr: str  # dB; '' where the source does not say
    trained: str  # on what
    source: str


_LIAO = {  # AUC and pAUC (Tables 3 and 4)
    "fan": (0.9556, 0.8727),
    "pump": (0.9356, 0.7891),
    "slider": (0.9886, 0.9653),
    "valve": (0.9875, 0.963),
}
_COMPLEX = {"fan": 0.8955, "pump": 0.964, "slider": 0.9875, "valve": 0.9687}
_PAPER = "Liao et al. 2025, Table 3"
MIMII = (
    *(
        Published(kind, "Contrastive ensemble", auc, pauc, "", "not said", f"{_PAPER} and 4")
        for kind, (auc, pauc) in _LIAO.items()
    ),
    *(
        Published(kind, "Complex network", auc, None, "", "not said", f"{_PAPER}, quoted")
        for kind, auc in _COMPLEX.items()
    ),
    # id_00, 02, 04, 06: 0.6339, 0.8564, 0.7304, 0.9821
    Published("fan", "Autoencoder, one an ID", 0.8007, None, "0", "each ID", "MIMII's baseline"),
)


def beside(results: Mapping[str, Any]) -> str:
    """A Markdown table for each machine type: what this run measured, then what is published.

    Args:
        results: results.json of a run on MIMII; other runs get their own rows alone.

    Returns:
        Markdown; a missing number is a dash.
    """
    protocol = results.get("protocol", {})
    published = MIMII if protocol.get("layout") == "mimii" else ()
    snr = ", ".join(protocol.get("snr") or ())
    known = [(group["machine_type"], group["machine_id"]) for group in results["groups"]]
    types = dict.fromkeys(kind for kind, _ in known)
    here = f"{', '.join(types)} alone" if len(types) == 1 else ", ".join(types)
    tables = []
    for kind in types:
        mean = results["mean"]["by_type"].get(kind, {})
        title = f"this run ({protocol.get('name')}, seed {results.get('seed')})"
        rows = [_row(f"**{title}**", mean, snr, here, "measured here")]
        for group in results["groups"]:
            if group["machine_type"] == kind:
                name = machine_name((kind, group["machine_id"]), known)
                rows.append(_row(f"its {name}", group, snr, here, "measured here"))
        rows += [
            _row(p.system, vars(p), p.snr or "not said", p.trained, f"published: {p.source}")
            for p in published
            if p.machine == kind
        ]
        head = f"| {kind} | AUC | pAUC | SNR, dB | trained on | where from |\n" + "| --- " * 6 + "|"
        tables.append("\n".join([head, *rows]))
    return "\n\n".join(tables)


def _row(title: str, numbers: Mapping[str, Any], snr: str, trained: str, source: str) -> str:
    cells = [three(numbers.get(k)) for k in ("auc", "pauc")]
    return f"| {' | '.join([title, *cells, snr or '–', trained, source])} |"
