"""Figures of the monitor for Prometheus (text exposition format 0.0.4)."""

import math
import threading
from collections.abc import Mapping
from typing import Any

_LAST = ("score", "threshold", "percentile")
_HELP = {
    "listening": ("gauge", "1 while sound comes and is judged."),
    "last_judged_timestamp_seconds": ("gauge", "When the last sound was judged."),
    "clips_total": ("counter", "Clips judged since the start."),
    "anomalous_total": ("counter", "Of those, above the threshold."),
    "alarms_total": ("counter", "Alarms raised since the start."),
    "alarm": ("gauge", "1 while the alarm is on."),
    "score": ("gauge", "Of the last clip."),
    "threshold": ("gauge", "Of the last clip."),
    "percentile": ("gauge", "Share of healthy clips with a lower score, in percent."),
}


class Counts:
    """What was counted since the start, by machine."""

    def __init__(self) -> None:
        self._machines: dict[tuple[str, str], dict[str, float]] = {}
        self._mutex = threading.Lock()  # several places count together

    def add(self, row: Mapping[str, Any]) -> None:
        """Counts a scored clip."""
        machine = (str(row["machine_type"]), str(row["machine_id"]))
        last = {name: row.get(name) for name in _LAST}
        with self._mutex:
            old = self._machines.get(machine, {})
            self._machines[machine] = {  # in one step: it is read by other threads
                "clips_total": old.get("clips_total", 0) + 1,
                "anomalous_total": old.get("anomalous_total", 0) + (row["decision"] == 1),
                "alarms_total": old.get("alarms_total", 0) + (row.get("alarm_changed") == "raised"),
                "alarm": float(bool(row.get("alarm"))),
                **{n: math.nan if value is None else float(value) for n, value in last.items()},
            }

    def text(self, *, listening: bool, judged: float | None) -> str:
        """All figures; `judged` in s since 1970."""
        machines = dict(self._machines)
        lines = []
        for name, (kind, about) in _HELP.items():
            lines += [f"# HELP asd_jax_{name} {about}", f"# TYPE asd_jax_{name} {kind}"]
            if name == "listening":
                lines.append(f"asd_jax_listening {int(listening)}")
            elif name == "last_judged_timestamp_seconds":
                lines.append(f"asd_jax_{name} {_number(math.nan if judged is None else judged)}")
            for (kind_of, number), values in machines.items():
                if name in values:
                    labels = f'machine_type="{_escape(kind_of)}",machine_id="{_escape(number)}"'
                    lines.append(f"asd_jax_{name}{{{labels}}} {_number(values[name])}")
        return "\n".join(lines) + "\n"


def _number(value: float) -> str:
    return "NaN" if math.isnan(value) else repr(float(value))


def _escape(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
