"""A report as text: tables for the terminal and for the README."""

from collections.abc import Mapping
from typing import Any

from tests.benchmarks.summary import quartiles, scaled, table


def render(report: Mapping[str, Any]) -> str:
    """All tables of a report, its peaks and its sentences, as Markdown."""
    machine = report["machine"]
    parts = [
        f"## {report['title']}",
        f"{machine['date'][:16]} UTC, {machine['cpu']}, {report['threads']} threads, "
        f"{report['rounds']} rounds, commit {machine['commit']}.",
    ]
    peak = _peak(report, "sgemm")
    for program in report["programs"]:
        parts.append(_program(report, program, peak))
    if report["peaks"]:
        parts.append(_peaks(report))
    return "\n\n".join([*parts, *report["checks"], *report["notes"]])


def _program(report: Mapping[str, Any], program: Mapping[str, Any], peak: float) -> str:
    unit, clips = report["unit"], program["clips"]
    columns = [program["name"], unit, "quartiles", "best"]
    columns += ["clips/s"] if clips else []
    flops = peak and any(v["about"]["flops"] for v in program["variants"].values())
    columns += ["GFLOP/s", "of peak"] if flops else []
    columns += ["time / ours" if unit != "MB" else "memory / ours", "quartiles", "others' CPUs"]
    rows = []
    for name, found in program["variants"].items():
        row = [name, scaled(found["median"], unit)]
        row += [f"{scaled(found['q1'], unit)}-{scaled(found['q3'], unit)}"]
        row += [scaled(found["best"], unit)]
        row += [scaled(clips / found["median"], "s")] if clips else []
        if flops:
            speed = found["about"]["flops"] / found["median"] / 1e9
            row += [f"{speed:.0f}", f"{speed / peak:.0%}"] if speed and peak else ["", ""]
        ratio = found.get("ratio")
        row += (
            [f"{ratio['median']:.2f}", f"{ratio['q1']:.2f}-{ratio['q3']:.2f}"]
            if ratio
            else ["", ""]
        )
        rows.append([*row, f"{quartiles([t['others'] for t in found['turns']])[1]:.2f}"])
    return "\n\n".join([table(columns, rows), *_comparison(program)])


def _comparison(program: Mapping[str, Any]) -> list[str]:
    lines = []
    for found in program["comparisons"]:
        goal = f" Must {found['must']:g}x, aim {found['aim']:g}x." if found["must"] else ""
        lines.append(
            f"{program['name']}: {found['ratio']:.2f}x ({found['q1']:.2f}-{found['q3']:.2f}) "
            f"against {found['against']}: {found['verdict']}.{goal}"
        )
    return lines


def _peak(report: Mapping[str, Any], kind: str) -> float:
    """The best that any library reached in any round."""
    return max((v["best"] for k, v in report["peaks"].items() if k.endswith(kind)), default=0.0)


def _peaks(report: Mapping[str, Any]) -> str:
    rows = [
        [name, f"{p['median']:.0f}", f"{p['q3']:.0f}-{p['q1']:.0f}", f"{p['best']:.0f}"]
        for name, p in report["peaks"].items()
    ]
    return table(["peak (GFLOP/s; GB/s)", "median", "quartiles", "best"], rows)
