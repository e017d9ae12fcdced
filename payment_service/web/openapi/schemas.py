"""Our own validation rules as JSON Schema, generated from the tables that the checks use."""

from __future__ import annotations

from typing import Any

from msgspec import Struct
from msgspec.json import schema_components

from payment_service.payments.request.currencies import CODE
from payment_service.payments.request.metadata import (
    MAX_NAME_CHARACTERS,
    MAX_NAMES,
    MAX_VALUE_CHARACTERS,
    RESERVED,
)
from payment_service.payments.request.method_types import MAX_TYPES, TYPE_NAME
from payment_service.schema.gateway_names import GATEWAY_TITLES
from payment_service.schema.names import MAX_NAME_OF_ORDER

Schema = dict[str, Any]

_NAME: Schema = {
    "type": ["string", "integer"],
    "minLength": 1,
    "maxLength": MAX_NAME_OF_ORDER,
    "description": f"text of 1 to {MAX_NAME_OF_ORDER} printable characters, or an integer, which "
    "is taken as its decimal text",
    "examples": ["A-1"],
}

_TYPE = f"^{TYPE_NAME.pattern}$"


# Overrides of the schemas that msgspec generates.
FIELDS: dict[str, Schema] = {
    "amount": {"examples": [1099]},
    "order_id": _NAME,
    "client_id": {**_NAME, "examples": ["shop-a"]},
    "currency": {
        "type": "string",
        "pattern": f"^{CODE.pattern}$",
        "examples": ["usd"],
    },
    "payment_method_types": {
        "type": "array",
        "items": {"type": "string", "pattern": _TYPE},
        "minItems": 1,
        "maxItems": MAX_TYPES,
        "uniqueItems": True,
        "examples": [["card"]],
    },
    "payment_method_options": {
        "type": "object",
        "propertyNames": {"pattern": _TYPE},
        "additionalProperties": {"type": "object", "minProperties": 1},
        "examples": [{"card": {"request_three_d_secure": "any"}}],
    },
    "accept_gateways": {
        "type": "array",
        "items": {"type": "string", "enum": sorted(GATEWAY_TITLES)},
        "minItems": 1,
        "uniqueItems": True,
        "examples": [["stripe", "paypal"]],
    },
    "metadata": {
        "type": "object",
        "propertyNames": {
            "pattern": r"^[^\[\]]+$",
            "maxLength": MAX_NAME_CHARACTERS,
            "not": {"enum": list(RESERVED)},
        },
        "additionalProperties": {"type": "string", "maxLength": MAX_VALUE_CHARACTERS},
        "maxProperties": MAX_NAMES - 1,
        "examples": [{"cart": "7"}],
    },
    "receipt_email": {
        "type": "string",
        "maxLength": 512,
        "pattern": r"^[^@\s]+@[^@\s]+\.[^@\s]+$",
        "examples": ["shopper@shop.example"],
    },
    "statement_descriptor_suffix": {
        "type": "string",
        "minLength": 1,
        "maxLength": 22,
        "pattern": r"""^[^<>\\'"*]*[A-Za-z][^<>\\'"*]*$""",
        "examples": ["ORDER A1"],
    },
    "description": {"examples": ["2 notebooks, 1 pencil"]},
    "customer": {"examples": ["cus_NffrFeUfNV2Hib"]},
    "capture_method": {"examples": ["manual"]},
    "setup_future_usage": {"examples": ["off_session"]},
    "reason": {"examples": ["duplicate"]},
    "expected_amount": {"examples": [1099]},
    "expected_revision": {"examples": [0]},
    "refresh": {"examples": ["true"]},
    "amount_to_capture": {"examples": [700]},
    "refund_id": {**_NAME, "examples": ["R-1"]},
}


def request_schema(model: type[Struct], *, signed: bool = False) -> Schema:
    """Return a struct's JSON Schema with the overrides of FIELDS.

    `signed`: an order's token may hold every field, so the request needs none of them.
    """
    schema = schema_of(model)
    required = [] if signed else schema["required"]
    properties = {
        name: _field(name, given, required=name in required)
        for name, given in schema["properties"].items()
    }
    return {
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": False,
    }


def schema_of(model: type) -> Schema:
    """Return msgspec's JSON Schema of a struct or dataclass."""
    _, found = schema_components([model])
    schema: Schema = found[model.__name__]
    return schema


def _field(name: str, given: Schema, *, required: bool) -> Schema:
    kept = {key: value for key, value in given.items() if key not in ("default", "anyOf")}
    choices = [each for each in given.get("anyOf", []) if each != {"type": "null"}]
    if given.get("default") is not None:
        kept["default"] = given["default"]
    found = {**kept, **(choices[0] if choices else {}), **FIELDS.get(name, {})}
    if required:
        return found
    # null means absent: client libraries often send it.
    described_once = {key: found.pop(key) for key in ("description", "default") if key in found}
    return {"anyOf": [found, {"type": "null"}], **described_once}
