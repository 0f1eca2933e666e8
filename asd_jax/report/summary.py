"""From rows to one summary a machine, and to the sentences at the top of the page."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from asd_jax.naming import first_few, machine_name
from asd_jax.report.contents import Report
from asd_jax.report.learned import at_a_glance
from asd_jax.scoring import metrics
from asd_jax.scoring.references import NAMES


@dataclasses.dataclass(frozen=True)
class Machine:
    """One machine's scored test clips and what they show. Scores are finite."""

    name: str
    machine_type: str
    machine_id: str
    rows: tuple[Mapping[str, Any], ...]  # of the finite scores
    scores: Float[np.ndarray, " clips"]
    labels: Int[np.ndarray, " clips"]
    decisions: Int[np.ndarray, " clips"]  # 1 alarm, 0 none, -1 there is no threshold
    threshold: float | None
    result: Mapping[str, Any]  # its entry in results.json, or {}

    @property
    def two_sided(self) -> bool:
        """Whether there are both healthy and faulty clips."""
        return bool((self.labels == 0).any() and (self.labels == 1).any())

    @property
    def labelled(self) -> tuple[Float[np.ndarray, " clips"], Int[np.ndarray, " clips"]]:
        """Scores and labels of the clips whose label is known."""
        known = self.labels >= 0
        return self.scores[known], self.labels[known]

    @property
    def auc(self) -> float | None:
        """The AUC in results.json, or else from the rows; None without both classes."""
        given = self.number("auc")
        if given is not None or not self.two_sided:
            return given
        scores, labels = self.labelled
        return metrics.auc(labels, scores)

    def number(self, field: str) -> float | None:
        """A number of its entry in results.json, None where it is missing."""
        value = self.result.get(field)
        if isinstance(value, bool) or not isinstance(value, int | float | np.number):
            return None
        return float(value) if np.isfinite(value) else None

    def interval(self) -> tuple[float, float] | None:
        """The confidence interval of the AUC, None where it is missing."""
        value = self.result.get("auc_interval")
        if value is None or len(value) != 2 or any(v is None or not np.isfinite(v) for v in value):
            return None
        return float(value[0]), float(value[1])

    def count(self, label: int, decision: int | None = None) -> int:
        """How many clips have this label and, if given, this decision."""
        chosen = self.labels == label
        return int((chosen if decision is None else chosen & (self.decisions == decision)).sum())


def machines(report: Report) -> list[Machine]:
    """One Machine for each (machine_type, machine_id) in the rows or results, in their order."""
    results = {group_of(g): g for g in report.results.get("groups") or ()}
    by_group: dict[tuple[str, str], list[Mapping[str, Any]]] = {key: [] for key in results}
    for row in report.rows:
        by_group.setdefault(group_of(row), []).append(row)
    return [
        _machine(key, name_in(report, key), rows, results.get(key, {}))
        for key, rows in by_group.items()
    ]


def group_of(row: Mapping[str, Any]) -> tuple[str, str]:
    """The (machine_type, machine_id) of a row."""
    return str(row.get("machine_type", "")), str(row.get("machine_id", ""))


def name_in(report: Report, group: tuple[str, str]) -> str:
    """What the page calls a machine."""
    groups = {*map(group_of, report.results.get("groups") or ()), *map(group_of, report.rows)}
    if report.embedding is not None:  # it has the machines that were trained on and not tested
        found = report.embedding
        groups |= set(zip(found.machine_types, found.machine_ids, strict=True))
    return machine_name(group, groups) or "the machine"


def _machine(
    key: tuple[str, str],
    name: str,
    rows: Sequence[Mapping[str, Any]],
    result: Mapping[str, Any],
) -> Machine:
    finite = tuple(row for row in rows if np.isfinite(_float(row.get("score"))))
    thresholds = {_float(row.get("threshold")) for row in finite}
    thresholds = {value for value in thresholds if np.isfinite(value)}
    common = _float(result.get("threshold"))
    threshold = thresholds.pop() if len(thresholds) == 1 else None
    if threshold is None and not thresholds and np.isfinite(common):
        threshold = common
    return Machine(
        name=name,
        machine_type=key[0],
        machine_id=key[1],
        rows=finite,
        scores=np.array([float(row["score"]) for row in finite], np.float64),
        labels=np.array([_int(row.get("label")) for row in finite], np.int64),
        decisions=np.array([_decision(row, common) for row in finite], np.int64),
        threshold=threshold,
        result=result,
    )


def _decision(row: Mapping[str, Any], common: float) -> int:
    decision = _int(row.get("decision"))
    if decision >= 0:
        return decision
    threshold = _float(row.get("threshold"))
    threshold = threshold if np.isfinite(threshold) else common
    return int(float(row["score"]) > threshold) if np.isfinite(threshold) else -1


def _float(value: Any) -> float:
    return float("nan") if value is None else float(value)


def _int(value: Any) -> int:
    return -1 if value is None or not np.isfinite(value) else int(value)


@dataclasses.dataclass(frozen=True)
class Verdict:
    """The top of the page: counts over all machines, and sentences made of them."""

    faulty: int
    caught: int | None  # None: no threshold
    healthy: int
    alarms: int | None
    unknown: int
    unusual: int | None
    headline: tuple[str, ...]  # sentences
    details: tuple[str, ...]


def verdict(report: Report, machines: Sequence[Machine]) -> Verdict:
    """What a plant engineer wants to know first."""
    faulty, healthy, unknown = (sum(m.count(k) for m in machines) for k in (1, 0, -1))
    decided = bool(machines) and all((m.decisions >= 0).all() for m in machines)
    caught, alarms, unusual = (
        sum(m.count(k, 1) for m in machines) if decided else None for k in (1, 0, -1)
    )
    headline = tuple(
        sentence
        for sentence in (
            _share(faulty, caught, "faulty", "caught"),
            _share(healthy, alarms, "healthy", "false alarm"),
            _share(unknown, unusual, "unlabelled", "unusual"),
        )
        if sentence
    )
    if not (faulty or healthy or unknown):
        ready = "The detector is ready. It has not judged a recording yet."
        nothing = "No test clip was scored, so there is nothing to judge yet."
        headline = (ready if report.results.get("learned") else nothing,)
    elif not decided:
        headline = (_undecided(faulty, healthy, unknown),)
    headline = (*headline, *beside_references(report))
    details = tuple(_details(report, machines, faulty, healthy, decided))
    if not machines:
        details = (*details, *at_a_glance(report.results))
    if report.session is not None:
        headline, details = report.session.answer[:1], (*report.session.answer[1:], *details)
    if report.classification is not None:
        headline = (*report.classification.sentences, *headline)
    return Verdict(faulty, caught, healthy, alarms, unknown, unusual, headline, details)


_SAID = {  # what is said of one clip, of several, and of the only one there is when it is not so
    "caught": ("was caught", "were caught", "was missed"),
    "false alarm": ("raised a false alarm", "raised a false alarm", "raised no alarm"),
    "unusual": ("sounds unusual", "sound unusual", "sounds as usual"),
}


def _share(total: int, part: int | None, kind: str, what: str) -> str:
    if not total or part is None:
        return ""
    one, many, otherwise = _SAID[what]
    if total == 1:
        return f"The only {kind} clip {one if part else otherwise}."
    rate = f" ({percent(part / total)})" if part and total >= 10 else ""
    return f"Of {total} {kind} clips {part or 'none'} {one if part == 1 else many}{rate}."


def _undecided(faulty: int, healthy: int, unknown: int) -> str:
    parts = [(faulty, "faulty"), (healthy, "healthy"), (unknown, "unlabelled")]
    listed = ", ".join(f"{n} {kind}" for n, kind in parts if n)
    return f"{listed} clips were scored, but without a threshold nothing was decided."


def _details(
    report: Report, machines: Sequence[Machine], faulty: int, healthy: int, decided: bool
) -> list[str]:
    sentences = []
    if decided and is_oracle(report):
        sentences.append(
            "The threshold or the model was chosen with the answers in view (an oracle): "
            "in practice expect less."
        )
    elif decided and machines:
        sentences.append(_threshold_sentence(report))
    if healthy and not faulty:
        sentences.append(
            "There was no faulty clip in the test, so nothing is known about how many faults "
            "would be caught."
        )
    if faulty and not healthy:
        sentences.append(
            "There was no healthy clip in the test, so nothing is known about false alarms."
        )
    ranked = sorted((m for m in machines if m.auc is not None), key=lambda m: -(m.auc or 0.0))
    if report.classification is not None and not report.classification.learned:
        return sentences  # what happens to be heard best would be praise of chance
    if len(ranked) > 1:
        best, worst = ranked[0], ranked[-1]
        sentences.append(
            f"Heard best: {best.name} ({grade(best)}, AUC {best.auc:.3f}). Hardest: {worst.name} "
            f"({grade(worst)}, AUC {worst.auc:.3f}). An AUC of 1 is perfect, 0.5 is guessing."
        )
    elif len(ranked) == 1 and len(machines) == 1:
        only = ranked[0]
        sentences.append(
            f"{only.name}: {grade(only)} (AUC {only.auc:.3f}; 1 is perfect, 0.5 is guessing)."
        )
    return sentences


LEVEL = 0.005  # of AUC: closer than this to the best reference is level with it


def beside_references(report: Report) -> list[str]:
    """How the score stands beside the best of the simple references; nothing without labels.

    Of a classifier `Classification.sentences` says it.
    """
    total = (report.results.get("mean") or {}).get("auc")
    known = {k: v for k, v in (report.results.get("references") or {}).items() if v is not None}
    if report.classification is not None or total is None or not known:
        return []
    best = max(known, key=lambda name: known[name])
    difference, name = total - known[best], NAMES.get(best, best)
    figures = f"mean AUC {total:.3f}, and {name} has {known[best]:.3f}"
    if abs(difference) < LEVEL:
        return [f"The detector is level with the best simple reference: {figures}."]
    if difference > 0:
        return [f"The detector is above every simple reference: {figures}."]
    return [
        f"The detector is BELOW the best simple reference: {figures}. Which reference is the best "
        "is known only with the labels."
    ]


def _threshold_sentence(report: Report) -> str:
    protocol = report.results.get("protocol") or {}
    rate = protocol.get("false_alarm_rate")
    if protocol.get("threshold_set"):
        return f"The threshold was set {protocol['threshold_set']}."
    sentence = "The threshold was set on healthy recordings, without seeing a fault"
    if isinstance(rate, int | float) and 0 < rate < 1:
        return f"{sentence}, so that about {percent(rate)} of healthy clips raise a false alarm."
    return f"{sentence}."


def grade(machine: Machine) -> str:
    """The AUC in words."""
    if machine.auc is None:
        return ""
    interval = machine.interval()
    if machine.auc < 0.6 or (interval is not None and interval[0] <= 0.5):
        return "no better than guessing" if machine.auc < 0.55 else "close to guessing"
    words = ((0.97, "very clear"), (0.9, "clear"), (0.75, "partly heard"))
    return next((word for limit, word in words if machine.auc >= limit), "hard to hear")


def is_oracle(report: Report) -> bool:
    """Whether the run says that test labels chose its threshold or model."""
    return report.oracle or bool((report.results.get("protocol") or {}).get("oracle"))


def notes(report: Report, machines: Sequence[Machine]) -> list[str]:
    """The caller's warnings and those that the rows themselves call for."""
    sentences = list(report.warnings)
    lost = sum(not np.isfinite(_float(row.get("score"))) for row in report.rows)
    if lost:
        has, are = ("clip has", "is") if lost == 1 else ("clips have", "are")
        sentences.append(f"{lost} {has} no finite score and {are} left out of every figure.")
    few = [m.name for m in machines if m.two_sided and min(m.count(0), m.count(1)) < 10]
    if few:
        sentences.append(
            f"Fewer than 10 healthy or faulty test clips: {first_few(few, 4)}. "
            "Take the figures there as a hint, not as a measurement."
        )
    return list(dict.fromkeys(sentences))


def most_unusual(machines: Sequence[Machine], count: int = 10) -> list[Mapping[str, Any]]:
    """The unlabelled clips that stand out most from the rest of their machine.

    Scores of different machines have different units: each is taken relative to the threshold
    (or the median) and the spread of its own machine.
    """
    found = []
    for machine in machines:
        if not len(machine.scores):
            continue
        first, centre, third = np.quantile(machine.scores, [0.25, 0.5, 0.75])
        spread = max(third - first, 1e-9 * max(abs(centre), 1.0))
        zero = centre if machine.threshold is None else machine.threshold
        for row, score, label, decision in zip(
            machine.rows, machine.scores, machine.labels, machine.decisions, strict=True
        ):
            if label < 0 and decision != 0:
                found.append(((score - zero) / spread, row))
    found.sort(key=lambda pair: -pair[0])
    return [row for _, row in found[:count]]


def mistakes(machines: Sequence[Machine]) -> tuple[list, list]:
    """The rows of missed faults (quietest first) and of false alarms (loudest first)."""
    missed, alarms = [], []
    for machine in machines:
        for row, label, decision in zip(
            machine.rows, machine.labels, machine.decisions, strict=True
        ):
            if label == 1 and decision == 0:
                missed.append(row)
            elif label == 0 and decision == 1:
                alarms.append(row)
    missed.sort(key=lambda row: float(row["score"]))
    alarms.sort(key=lambda row: -float(row["score"]))
    return missed, alarms


def percent(share: float) -> str:
    """A share as whole percent, with '<' and '>' instead of a rounded 0 or 100."""
    if 0 < share < 0.005:
        return "<1\u00a0%"
    if 0.995 < share < 1:
        return ">99\u00a0%"
    return f"{100 * share:.0f}\u00a0%"


NONE = "–"


def three(value: float | None) -> str:
    """A figure in three decimals, a dash where there is none."""
    return NONE if value is None or not np.isfinite(value) else f"{value:.3f}"
