"""The description of GET /orders."""

from __future__ import annotations

from typing import Any

from payment_service.payments.changes.status import OrderStatus
from payment_service.payments.record.alarms import NAMES
from payment_service.payments.request.order_list import OrdersRequest
from payment_service.web.openapi.schemas import Schema, request_schema, schema_of

SUMMARY = "List orders, the one that changed last first"
DESCRIPTION = (
    "For the shop's server: an order's token is rejected. A client's API key lists that client's "
    "orders. An order that changes between two pages moves to the front, and the other orders are "
    "listed exactly once. A page may have fewer orders than `limit` although another one follows."
)


def parameters() -> list[dict[str, Any]]:
    """Return the parameters of the query."""
    fields = request_schema(OrdersRequest)["properties"]
    return [
        {
            "name": name,
            "in": "query",
            "required": False,
            "schema": _not_null(field),
            "description": field["description"],
        }
        for name, field in fields.items()
    ]


def page_schema() -> Schema:
    """Return the schema of the answer."""
    status = schema_of(OrderStatus)
    properties = {name: each for name, each in status["properties"].items() if name != "history"}
    properties["alarms"] = {
        "type": "array",
        "items": {"enum": list(NAMES)},
        "description": "why a person must look at the order",
    }
    order = {
        "type": "object",
        "properties": properties,
        "required": [name for name in properties if name not in ("gateway", "leftovers")],
        "additionalProperties": False,
    }
    return {
        "type": "object",
        "required": ["orders", "next_cursor"],
        "properties": {
            "orders": {"type": "array", "items": order},
            "next_cursor": {
                "type": ["string", "null"],
                "description": "for the next page; null after the last one",
            },
        },
        "additionalProperties": False,
    }


def _not_null(field: Schema) -> Schema:
    """Return a field's schema for a query string, in which no value is null."""
    chosen = next((each for each in field.get("anyOf", []) if each.get("type") != "null"), field)
    default = {"default": field["default"]} if "default" in field else {}
    return {**{name: each for name, each in chosen.items() if name != "description"}, **default}
