"""Building a struct from input: conversion, validation and error messages."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import pytest
from msgspec import Struct

from payment_service.schema.fields import Fault, Faults, fill, names_of, rule
from payment_service.schema.secret import Secret


def _even(value: int) -> int:
    if value % 2:
        raise ValueError("must be even")
    return value // 2


Even = Annotated[int, rule("must be an integer from 0 to 10", then=_even, ge=0, le=10)]
Word = Annotated[str, rule("must be letters", pattern="[a-z]+|[A-Z]+")]
Key = Annotated[Secret, rule("must be text")]


class Thing(Struct, frozen=True, kw_only=True):
    name: Word
    half: Even
    other: Even | None = None
    word: Word | None = None
    key: Key | None = None
    keys: Annotated[list[Secret], rule("must be a list of texts")] = []
    path: Annotated[Path, rule("must be a path")] | None = None
    shown: Annotated[str, rule("must be text", first=str)] = ""
    plain: int = 0

    def __post_init__(self) -> None:
        if self.plain > self.half:
            raise ValueError("plain must not be above half")


GOOD: dict[str, Any] = {"name": "abc", "half": 4}


def faults(given: dict[str, Any]) -> list[Fault]:
    with pytest.raises(Faults) as caught:
        fill(Thing, given)
    return caught.value.found


def test_values_are_validated_and_normalised() -> None:
    given = {**GOOD, "other": None, "shown": 7, "key": "k", "keys": ["a", "b"], "path": "/x/y"}
    assert fill(Thing, given) == Thing(
        name="abc",
        half=2,
        shown="7",
        key=Secret("k"),
        keys=[Secret("a"), Secret("b")],
        path=Path("/x/y"),
    )


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("half", 11, "must be an integer from 0 to 10"),
        ("half", -1, "must be an integer from 0 to 10"),
        ("half", "4", "must be an integer from 0 to 10"),
        ("half", 4.0, "must be an integer from 0 to 10"),
        ("half", True, "must be an integer from 0 to 10"),
        ("half", None, "must be an integer from 0 to 10"),
        ("half", 3, "must be even"),
        ("other", 3, "must be even"),
        ("name", "abc1", "must be letters"),
        ("name", "aB", "must be letters"),
        ("name", "abc\n", "must be letters"),
        ("word", "abc\n", "must be letters"),
        ("name", "", "must be letters"),
        ("key", 5, "must be text"),
        ("keys", ["a", 5], "must be a list of texts"),
        ("keys", "a", "must be a list of texts"),
        ("path", 5, "must be a path"),
        ("plain", "x", "is not of the right type"),
    ],
)
def test_error_states_the_broken_rule(name: str, value: object, text: str) -> None:
    assert faults({**GOOD, name: value}) == [Fault("broken", name, text)]


def test_errors_follow_field_order_and_unknown_names_come_last() -> None:
    assert faults({"zz": 1, "word": 5, "half": 1, "aa": 2}) == [
        Fault("missing", "name"),
        Fault("broken", "half", "must be even"),
        Fault("broken", "word", "must be letters"),
        Fault("unknown", "zz"),
        Fault("unknown", "aa"),
    ]


def test_cross_field_rules_run_last() -> None:
    assert faults({**GOOD, "plain": 3}) == [Fault("broken", "", "plain must not be above half")]
    assert faults({"name": "abc", "half": 1, "plain": 9}) == [
        Fault("broken", "half", "must be even")
    ]


def test_mutable_default_is_not_shared() -> None:
    first, second = fill(Thing, GOOD), fill(Thing, GOOD)
    first.keys.append(Secret("x"))
    assert second.keys == []


def test_names_follow_field_order() -> None:
    assert names_of(Thing)[:3] == ("name", "half", "other")


def test_secret_field_is_never_shown() -> None:
    secret = Secret("hunter2")
    thing = Thing(name="a", half=1, key=secret, keys=[secret])
    assert "hunter2" not in f"{secret} {secret!r} {thing} {thing!r} {[secret]}"
    assert secret.get_secret_value() == "hunter2"
    assert secret == Secret("hunter2")
    assert secret != Secret("hunter3")
    assert secret != "hunter2"
    assert len({secret, Secret("hunter2")}) == 1
