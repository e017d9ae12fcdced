"""A validator for the part of JSON Schema that our OpenAPI document and PayPal's use.

Other keywords fail.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

Schema = Mapping[str, Any]

_TYPES: dict[str, Any] = {
    "object": dict,
    "array": list,
    "string": str,
    "integer": int,
    "number": (int, float),
    "boolean": bool,
    "null": type(None),
}

# Keywords that say nothing about a value, or that belong to another keyword.
_NOTES = {"description", "examples", "default", "title"}
_NOTES |= {"deprecated", "example", "format", "readOnly"}

# Keyword → whether a value of the type fits the rule.
_RULES: dict[str, tuple[Any, Callable[[Any, Any], bool]]] = {
    "enum": (object, lambda value, rule: value in rule),
    "const": (object, lambda value, rule: value == rule),
    "required": (dict, lambda value, rule: set(rule) <= value.keys()),
    "pattern": (str, lambda value, rule: re.search(rule, value) is not None),
    "uniqueItems": (list, lambda value, _: len({str(each) for each in value}) == len(value)),
    "minimum": ((int, float), lambda value, rule: value >= rule),
    "maximum": ((int, float), lambda value, rule: value <= rule),
    "minLength": (str, lambda value, rule: len(value) >= rule),
    "maxLength": (str, lambda value, rule: len(value) <= rule),
    "minItems": (list, lambda value, rule: len(value) >= rule),
    "maxItems": (list, lambda value, rule: len(value) <= rule),
    "minProperties": (dict, lambda value, rule: len(value) >= rule),
    "maxProperties": (dict, lambda value, rule: len(value) <= rule),
}


class Schemas:
    """Validates values against the schemas of a document, whose components they refer to."""

    def __init__(self, document: Schema) -> None:
        self._document = document

    def fits(self, value: Any, schema: Schema | bool) -> bool:
        """Whether the value is valid. Raises LookupError for an unknown keyword."""
        if isinstance(schema, bool):
            return schema
        return all(
            self._keyword(keyword, rule, value, schema)
            for keyword, rule in schema.items()
            if keyword not in _NOTES
        )

    def _keyword(self, keyword: str, rule: Any, value: Any, schema: Schema) -> bool:
        if keyword in _RULES:
            kind, fits = _RULES[keyword]
            return not isinstance(value, kind) or fits(value, rule)
        if keyword == "type":
            return any(_is(value, name) for name in ([rule] if isinstance(rule, str) else rule))
        if keyword in ("allOf", "anyOf"):
            return (all if keyword == "allOf" else any)(self.fits(value, each) for each in rule)
        if keyword == "oneOf":
            return sum(self.fits(value, each) for each in rule) == 1
        if keyword == "not":
            return not self.fits(value, rule)
        if keyword == "$ref":
            return self.fits(value, self._referred(rule))
        return all(self.fits(part, of) for part, of in _parts(keyword, rule, value, schema))

    def _referred(self, reference: str) -> Any:
        found: Any = self._document
        for name in reference.removeprefix("#/").split("/"):
            found = found[name]
        return found


def _parts(
    keyword: str, rule: Any, value: Any, schema: Schema
) -> Iterable[tuple[Any, Schema | bool]]:
    """Return the parts of an object or a list that the keyword is about, each with its schema."""
    names = value.keys() if isinstance(value, dict) else set()
    known = schema.get("properties", {}).keys()
    match keyword:
        case "properties":
            return [(value[name], rule[name]) for name in names & known]
        case "additionalProperties":
            return [(value[name], rule) for name in names - known]
        case "propertyNames":
            return [(name, rule) for name in names]
        case "items":
            return [(item, rule) for item in (value if isinstance(value, list) else ())]
    raise LookupError(keyword)


def _is(value: Any, name: str) -> bool:
    if isinstance(value, bool):
        return name == "boolean"
    return isinstance(value, _TYPES[name])
