"""Validation rules for parameters, and their errors; a Schema maps names to rules."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any

from sandbox.answers import refusal
from sandbox.form import Form

Rule = Callable[[str, Any], Any]
Schema = dict[str, Rule]

MAX_TEXT = 5000
MAX_METADATA_KEYS, MAX_METADATA_NAME, MAX_METADATA_VALUE = 50, 40, 500

_INTEGER = re.compile(r"-?[0-9]{1,18}\Z")
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+\Z")
_URL = re.compile(r"[a-z][a-z0-9+.-]*://[^\s]+\Z", re.IGNORECASE)


def check(params: Form, schema: Schema, required: Iterable[str] = (), within: str = "") -> Form:
    """Apply the schema; reject missing, unknown and malformed parameters with Stripe's errors."""
    for name in required:
        if name not in params:
            missing(_qualified(within, name))
    unknown = [_qualified(within, name) for name in params if name not in schema]
    if unknown:
        _unknown(unknown)
    return {name: schema[name](_qualified(within, name), value) for name, value in params.items()}


def missing(name: str) -> None:
    """Reject a request without a required parameter."""
    raise refusal(f"Missing required param: {name}.", code="parameter_missing", param=name)


def text(limit: int = MAX_TEXT, *, unset: bool = True) -> Rule:
    """Text; an empty one unsets the field (None), if `unset` allows that."""

    def rule(name: str, value: Any) -> str | None:
        if not isinstance(value, str):
            raise refusal(f"Invalid string: {name}", param=name)
        if not value and unset:
            return None
        _reject_empty(name, value)
        if len(value) > limit:
            message = f"Invalid string: {value[:20]}...; must be at most {limit} characters"
            raise refusal(message, code="parameter_invalid_string_too_long", param=name)
        return value

    return rule


def integer(name: str, value: Any) -> int:
    """A whole number in decimal digits."""
    _reject_empty(name, value)
    if not isinstance(value, str) or not _INTEGER.match(value):
        message = f"Invalid integer: {value}"
        raise refusal(message, code="parameter_invalid_integer", param=name)
    return int(value)


def boolean(name: str, value: Any) -> bool:
    """`true` or `false`."""
    if value not in ("true", "false"):
        raise refusal(f"Invalid boolean: {value}", param=name)
    return bool(value == "true")


def choice(*allowed: str, unset: bool = False) -> Rule:
    """One of a few words."""

    def rule(name: str, value: Any) -> str | None:
        if value == "" and unset:
            return None
        if value not in allowed:
            raise refusal(f"Invalid {name}: must be one of {_enumerate(allowed)}", param=name)
        return str(value)

    return rule


def array(item: Rule) -> Rule:
    """A list, sent as `name[]` or `name[0]`."""

    def rule(name: str, value: Any) -> list[Any]:
        if not isinstance(value, dict) or not all(key.isdecimal() for key in value):
            raise refusal("Invalid array", param=name)
        return [item(f"{name}[{key}]", value[key]) for key in sorted(value, key=int)]

    return rule


def nested(schema: Schema, required: Iterable[str] = ()) -> Rule:
    """A hash with its own schema."""

    def rule(name: str, value: Any) -> Form:
        return check(any_hash(name, value), schema, required, within=name)

    return rule


def any_hash(name: str, value: Any) -> Form:
    """A hash whose contents the sandbox does not validate."""
    if not isinstance(value, dict):
        raise refusal("Invalid object", param=name)
    return value


def email(name: str, value: Any) -> str | None:
    """An e-mail address; an empty text unsets it."""
    found: str | None = text()(name, value)
    if found is not None and not _EMAIL.match(found):
        raise refusal(f"Invalid email address: {found}", code="email_invalid", param=name)
    return found


def url(name: str, value: Any) -> str:
    """A URL to which a browser can be redirected."""
    found: str = text(unset=False)(name, value)
    if not _URL.match(found):
        raise refusal("Not a valid URL", code="url_invalid", param=name)
    return found


def metadata(name: str, value: Any) -> Form:
    """Metadata within Stripe's limits; an empty value is kept, because it removes its key."""
    if value == "":
        return {}
    if len(any_hash(name, value)) > MAX_METADATA_KEYS:
        message = f"Metadata can have at most {MAX_METADATA_KEYS} keys; {len(value)} were given."
        raise refusal(message, param=name)
    for key, content in value.items():
        _check_metadata(f"{name}[{key}]", key, content)
    return dict(value)


def _check_metadata(name: str, key: str, content: Any) -> None:
    if not isinstance(content, str):
        raise refusal("Invalid string: metadata values must be text", param=name)
    if len(key) > MAX_METADATA_NAME:
        message = f"Metadata keys can have up to {MAX_METADATA_NAME} characters: {key}"
        raise refusal(message, param="metadata")
    if len(content) > MAX_METADATA_VALUE:
        message = (
            f"Metadata values can have up to {MAX_METADATA_VALUE} characters, but you passed in "
            f"a value that is {len(content)} characters. Invalid value: {content[:20]}..."
        )
        raise refusal(message, param=name)


def _reject_empty(name: str, value: Any) -> None:
    if value == "":
        message = (
            f"You passed an empty string for '{name}'. We assume empty values are an attempt to "
            f"unset a parameter; however '{name}' cannot be unset. You should remove '{name}' "
            "from your request or supply a non-empty value."
        )
        raise refusal(message, code="parameter_invalid_empty", param=name)


def _unknown(names: list[str]) -> None:
    noun = "parameter" if len(names) == 1 else "parameters"
    message = f"Received unknown {noun}: {', '.join(names)}"
    raise refusal(message, code="parameter_unknown", param=names[0])


def _enumerate(words: tuple[str, ...]) -> str:
    return " or ".join(words) if len(words) < 3 else f"{', '.join(words[:-1])}, or {words[-1]}"


def _qualified(within: str, name: str) -> str:
    return f"{within}[{name}]" if within else name
