"""From decisions, window by window, to an alarm that does not flap."""

import collections
import dataclasses
import re
from collections.abc import Mapping
from typing import Any

from asd_jax.errors import UserError


@dataclasses.dataclass(frozen=True)
class Rule:
    """When the alarm is raised and cleared.

    Attributes:
        raised, of: it is raised when `raised` of the last `of` windows were anomalous.
        cleared: it is cleared after so many normal windows in a row.
    """

    raised: int = 2
    of: int = 3
    cleared: int = 3

    def __post_init__(self) -> None:
        if not 1 <= self.raised <= self.of:
            raise UserError(
                f"--alarm_after={self.raised}/{self.of}: give N/M with N of 1 or more and at most "
                "M, as 2/3."
            )
        if self.cleared < 1:
            raise UserError(f"--clear_after={self.cleared}: give 1 or more.")

    @classmethod
    def parse(cls, after: str, cleared: int) -> "Rule":
        """The rule of `--alarm_after=N/M` (or N, which is N/N) and `--clear_after`."""
        found = re.fullmatch(r"(\d{1,6})(?:/(\d{1,6}))?", after)
        if not found:
            raise UserError(f"--alarm_after={after}: give N/M, as 2/3.")
        return cls(int(found[1]), int(found[2] or found[1]), cleared)


class Alarm:
    """The state of one machine's alarm; `on` tells it."""

    def __init__(self, rule: Rule):
        self.rule = rule
        self.on = False
        self._over: collections.deque[bool] = collections.deque(maxlen=rule.of)
        self._under = 0  # normal windows in a row

    def update(self, decision: int) -> str:
        """Takes the next window's decision: 1 anomalous, 0 normal, any other says nothing.

        Returns:
            'raised' or 'cleared' where the state changed, else ''.
        """
        if decision not in (0, 1):
            return ""
        self._over.append(bool(decision))
        self._under = 0 if decision else self._under + 1
        if not self.on and sum(self._over) >= self.rule.raised:
            self.on = True
            return "raised"
        if self.on and self._under >= self.rule.cleared:
            self.on = False
            # Else the windows that raised it could raise it again with a single new one.
            self._over.clear()
            return "cleared"
        return ""


class Alarms:
    """An alarm for each machine."""

    def __init__(self, rule: Rule):
        self._rule = rule
        self._of: dict[tuple[str, str], Alarm] = {}

    def update(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """Takes a scored clip; the columns `alarm` and `alarm_changed` of its machine's alarm."""
        machine = (row["machine_type"], row["machine_id"])
        alarm = self._of.setdefault(machine, Alarm(self._rule))
        changed = alarm.update(row["decision"])
        return {"alarm": alarm.on, "alarm_changed": changed}
