"""Parses untrusted values into frozen structs; reports every field that breaks its rule.

msgspec checks types and bounds. A rule adds the error message for the sender, and up to two
functions.
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
    """Make the annotation of a field's type: `Annotated[int, rule("must be …", ge=1)]`.

    `first` converts the value before its type is checked; `then` checks or converts it afterwards.
    Both return the value, or raise ValueError with an error message. `pattern` must match the whole
    text; msgspec's own would accept a trailing line break. `bounds` are msgspec's: ge, le, gt, lt,
    min_length, max_length. `text` may be omitted if `first` and `then` raise all error messages.
    """
    schema = None if pattern is None else {"pattern": f"^({pattern})$"}
    ours = {"first": first, "then": then, "pattern": pattern and re.compile(pattern)}
    return Meta(description=text, extra=ours, extra_json_schema=schema, **bounds)


class Fault(Struct, frozen=True):
    """One problem with a field. `name` is empty if it concerns several fields."""

    kind: Literal["missing", "unknown", "broken"]
    name: str
    rule: str = ""


class Faults(ValueError):
    """All problems of one value: in the struct's field order, unknown names last."""

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
        """Return the checked value; raises ValueError with the rule."""
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
    """Check the values and make the struct. Raises Faults."""
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
    """Return the names of a struct's fields, in order."""
    return kind.__struct_fields__


@cache
def _fields_of(kind: type[Struct]) -> _Fields:
    found = fields(kind)
    known = {each.name: _field(each.type) for each in found}
    return _Fields(known, frozenset(each.name for each in found if each.required))


def _field(annotation: Any) -> _Field:
    """Find the rule in an annotation, or in a member of a union: `Annotated[…] | None`."""
    for each in (annotation, *get_args(annotation)):
        for meta in getattr(each, "__metadata__", ()):
            if isinstance(meta, Meta) and meta.extra is not None:
                return _Field(annotation, meta.description or WRONG_TYPE, **meta.extra)
    return _Field(annotation, WRONG_TYPE, None, None, None)


def _faults(fields: _Fields, given: Mapping[str, Any], broken: Mapping[str, str]) -> list[Fault]:
    found = [
        Fault("broken", name, broken[name]) if name in broken else Fault("missing", name)
        for name in fields.known
        if name in broken or (name in fields.required and name not in given)
    ]
    return found + [Fault("unknown", name) for name in given if name not in fields.known]


def _of_text(kind: type, value: Any) -> Any:
    """Convert text to a type that msgspec does not know."""
    if kind in (Secret, Path) and isinstance(value, str):
        return kind(value)
    raise TypeError
