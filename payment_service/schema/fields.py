"""Values from outside into frozen structs: each field by its own rule, every broken one named.

msgspec looks at types and bounds; a rule says what it looks for, in words for whoever sent it, and
may hold two functions of its own.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args

from msgspec import Meta, Struct, ValidationError, convert
from msgspec.structs import fields

from payment_service.schema.secret import Secret

Kind = TypeVar("Kind", bound=Struct)
Check = Callable[[Any], Any]

WRONG_TYPE = "is not of the right type"


def rule(
    text: str | None = None,
    *,
    first: Check | None = None,
    then: Check | None = None,
    pattern: str | None = None,
    **bounds: Any,
) -> Meta:
    """Return what goes beside a field's type: `Annotated[int, rule("must be …", ge=1)]`.

    `first` prepares what was given, before its type is looked at; `then` is called with what has
    the right type. Both return the value, or raise ValueError with a rule of their own. `pattern`
    is of the whole text; msgspec's own would let a line break follow. `bounds` are msgspec's: ge,
    le, gt, lt, min_length, max_length. Without a text, `first` or `then` say all that is to say.
    """
    schema = None if pattern is None else {"pattern": f"^({pattern})$"}
    ours = {"first": first, "then": then, "pattern": pattern and re.compile(pattern)}
    return Meta(description=text, extra=ours, extra_json_schema=schema, **bounds)


class Fault(Struct, frozen=True):
    """What is wrong with a field. `name` is empty where it is about several."""

    kind: Literal["missing", "unknown", "broken"]
    name: str
    rule: str = ""


class Faults(ValueError):
    """Everything that is wrong; unknown names last, the others in the struct's order."""

    def __init__(self, found: list[Fault]) -> None:
        super().__init__("; ".join(f"{each.name}: {each.rule or each.kind}" for each in found))
        self.found = found


class _Field(Struct, frozen=True):
    type: Any
    text: str
    first: Check | None
    then: Check | None
    pattern: re.Pattern[str] | None

    def read(self, value: Any) -> Any:
        """Return what a struct holds of it; raises ValueError with the rule."""
        if self.first is not None:
            value = self.first(value)
        try:
            value = convert(value, self.type, dec_hook=_of_text)
        except ValidationError:
            raise ValueError(self.text) from None
        if value is None:
            return None
        if self.pattern is not None and not self.pattern.fullmatch(value):
            raise ValueError(self.text)
        return value if self.then is None else self.then(value)


class _Fields(Struct, frozen=True):
    known: Mapping[str, _Field]
    required: frozenset[str]


def fill(kind: type[Kind], given: Mapping[str, Any]) -> Kind:
    """Return a struct with what was given, checked. Raises Faults."""
    found = _fields_of(kind)
    values, broken = {}, {}
    for name, value in given.items():
        field = found.known.get(name)
        if field is None:
            continue
        try:
            values[name] = field.read(value)
        except ValueError as wrong:
            broken[name] = str(wrong)
    if broken or len(values) < len(given) or not found.required <= values.keys():
        raise Faults(_faults(found, given, broken))
    try:
        return kind(**values)
    except ValueError as wrong:
        raise Faults([Fault("broken", "", str(wrong))]) from None


def names_of(kind: type[Struct]) -> tuple[str, ...]:
    """Return the names of a struct's fields, in its order."""
    return kind.__struct_fields__


@cache
def _fields_of(kind: type[Struct]) -> _Fields:
    found = fields(kind)
    known = {each.name: _field(each.type) for each in found}
    return _Fields(known, frozenset(each.name for each in found if each.required))


def _field(annotation: Any) -> _Field:
    """Find the rule, beside the type or beside one of several: `Annotated[…] | None`."""
    for each in (annotation, *get_args(annotation)):
        for said in getattr(each, "__metadata__", ()):
            if isinstance(said, Meta) and said.extra is not None:
                return _Field(annotation, said.description or WRONG_TYPE, **said.extra)
    return _Field(annotation, WRONG_TYPE, None, None, None)


def _faults(fields: _Fields, given: Mapping[str, Any], broken: Mapping[str, str]) -> list[Fault]:
    found = [
        Fault("broken", name, broken[name]) if name in broken else Fault("missing", name)
        for name in fields.known
        if name in broken or (name in fields.required and name not in given)
    ]
    return found + [Fault("unknown", name) for name in given if name not in fields.known]


def _of_text(kind: type, value: Any) -> Any:
    """What msgspec has no type for."""
    if kind in (Secret, Path) and isinstance(value, str):
        return kind(value)
    raise TypeError
