"""What a setting may be stands in its type, and one function checks it. No jax here.

    class Schedule(Checked):
        epochs: Annotated[float, Within(0, 1e6)] = 50.0
        order: Literal["random", "sorted"] = "random"

A number without bounds is an error of the class: no setting is open to any value by default.
"""

import contextlib
import copy
import dataclasses
import functools
import numbers
import types
import typing
from collections.abc import Iterator
from typing import Annotated, Any, Literal

from asd_jax.errors import UserError


class FieldError(UserError):
    """A field that cannot be: its `path`, `Class.field` or `config.part.field`, and why."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"{path} {reason}")
        self.path, self.reason = path, reason


@contextlib.contextmanager
def inside(where: str) -> Iterator[None]:
    """Names a field that is refused by its place, `where.field`, in place of its class."""
    try:
        yield
    except FieldError as error:
        raise FieldError(f"{where}.{error.path.partition('.')[2]}", error.reason) from None


@dataclasses.dataclass(frozen=True)
class Within:
    """Bounds of a number, both inclusive unless `above` or `below` leave them out."""

    low: float
    high: float
    above: bool = False
    below: bool = False

    def fault(self, kind: type, value: Any) -> str:
        """Returns what a value out of bounds must be; '' for one within. NaN is always out."""
        wanted = numbers.Integral if kind is int else numbers.Real
        if isinstance(value, bool) or not isinstance(value, wanted):
            return "be a whole number" if kind is int else "be a number"
        number: Any = value
        low = self.low < number if self.above else self.low <= number
        high = number < self.high if self.below else number <= self.high
        return "" if low and high else f"be {self}"

    def __str__(self) -> str:
        low = f"above {self.low:g}" if self.above else f"at least {self.low:g}"
        return f"{low} and {'below' if self.below else 'at most'} {self.high:g}"


@dataclasses.dataclass(frozen=True)
class Among:
    """Names of a registry; a fixed list of names is a `Literal`."""

    names: tuple

    def fault(self, kind: type, value: Any) -> str:
        """Returns what a value must be that is none of the names; '' for one of them."""
        return "" if value in self.names else f"be one of {', '.join(map(repr, self.names))}"


Share = Annotated[float, Within(0, 1)]
Ratio = Annotated[float, Within(0, 1, above=True, below=True)]
BelowOne = Annotated[float, Within(0, 1, below=True)]
Epochs = Annotated[float, Within(0, 1e6)]
Width = Annotated[float, Within(0, 16, above=True)]  # a factor of all layers
Weight = Annotated[float, Within(0, 1e6)]
Count = Annotated[int, Within(1, 10**6)]
CountOrNone = Annotated[int, Within(0, 10**6)]  # 0: the field says what that means
Seed = Annotated[int, Within(0, 2**32 - 1)]


@dataclasses.dataclass(frozen=True)
class Checked:
    """Settings that check themselves when they are made.

    Raises:
        FieldError: (a UserError) one sentence that names field, value and what it must be.
    """

    # A run-time type checker (jaxtyping's, in tests) would refuse arguments in its own words first.
    __no_type_check__ = True

    def __post_init__(self) -> None:
        for name, kind in kinds(type(self)).items():
            value = getattr(self, name)
            if must := fault(kind, value):
                self.refuse(name, f"is {value!r}; it must {must}.")

    def refuse(self, field: str, reason: str) -> typing.NoReturn:
        """Raises FieldError: '`field` `reason`'."""
        raise FieldError(f"{type(self).__name__}.{field}", reason)


def traced(settings: Any, **values: Any) -> Any:
    """A copy with these values and without its checks: no traced number can be checked."""
    copied = copy.copy(settings)
    for name, value in values.items():
        object.__setattr__(copied, name, value)
    return copied


@functools.cache
def kinds(settings: type) -> dict[str, Any]:
    """The annotation of each field of a dataclass, bounds included."""
    return {field.name: field.type for field in dataclasses.fields(settings)}


def fault(kind: Any, value: Any) -> str:
    """Returns what a value of a field with this annotation must be; '' if it is that.

    Raises:
        TypeError: the annotation does not say which values can be.
    """
    origin, parts = typing.get_origin(kind), typing.get_args(kind)
    if origin is Annotated:
        return parts[1].fault(parts[0], value)
    if origin is Literal:
        return Among(parts).fault(str, value)
    if origin is tuple:
        return _tuple_fault(parts, value)
    if origin in (typing.Union, types.UnionType):
        found = [fault(part, value) for part in parts if part is not types.NoneType]
        return "" if value is None and types.NoneType in parts else min(found, key=len)
    if kind in (bool, str):
        words = "be True or False" if kind is bool else "be text"
        return "" if isinstance(value, kind) else words
    if dataclasses.is_dataclass(kind):
        return "" if isinstance(value, typing.cast(type, kind)) else "be a group of fields"
    raise TypeError(f"{kind} does not say which values can be; see asd_jax.bounds.")


def _tuple_fault(parts: tuple, value: Any) -> str:
    if not isinstance(value, tuple):
        return "be a tuple such as (a, b)"
    wanted = parts[:1] * len(value) if parts[1:] == (...,) else parts
    if len(value) != len(wanted):
        return f"have {len(wanted)} entries"
    found = next(filter(None, map(fault, wanted, value)), "")
    return found and f"{found}, each entry"
