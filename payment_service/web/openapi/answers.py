"""The answers of each operation as JSON Schema."""

from __future__ import annotations

from typing import Any

from payment_service.gateways.intent import STATUSES
from payment_service.gateways.refund import STATUSES as REFUND_STATUSES
from payment_service.schema.gateway_names import GATEWAY_TITLES

CREATED: dict[str, Any] = {
    "type": "object",
    "required": ["payment_intent_id", "client_secret", "status"],
    "properties": {
        "payment_intent_id": {"type": "string", "examples": ["pi_3S"]},
        "client_secret": {
            "type": ["string", "null"],
            "description": "null at PayPal",
            "examples": ["pi_3S_secret_x"],
        },
        "status": {"type": "string", "enum": sorted(STATUSES)},
        "gateway": {
            "type": "string",
            "enum": sorted(GATEWAY_TITLES),
            "description": "only if the request has accept_gateways",
        },
        "redirect_url": {
            "type": "string",
            "description": "the page where the shopper approves the payment; only at a gateway "
            "without a client_secret, while the status is requires_action",
        },
    },
    "additionalProperties": False,
}

CHANGED: dict[str, Any] = {
    "type": "object",
    "required": ["payment_intent_id", "status", "amount", "currency"],
    "properties": {
        "payment_intent_id": {"type": "string"},
        "status": {"type": "string", "enum": sorted(STATUSES)},
        "amount": {"type": "integer"},
        "currency": {"type": "string"},
        "revision": {"type": "integer", "description": "counts the updates"},
    },
    "additionalProperties": False,
}

CAPTURED: dict[str, Any] = {
    "type": "object",
    "required": ["payment_intent_id", "status", "amount_captured"],
    "properties": {
        "payment_intent_id": {"type": "string"},
        "status": {"type": "string", "enum": sorted(STATUSES)},
        "amount_captured": {"type": "integer"},
    },
    "additionalProperties": False,
}

REFUNDED: dict[str, Any] = {
    "type": "object",
    "required": [
        "refund_id",
        "stripe_refund_id",
        "amount",
        "currency",
        "status",
        "amount_refunded",
    ],
    "properties": {
        "refund_id": {"type": "string"},
        "stripe_refund_id": {"type": "string", "description": "at PayPal, PayPal's id"},
        "amount": {"type": "integer"},
        "currency": {"type": "string"},
        "status": {"type": "string", "enum": sorted(REFUND_STATUSES)},
        "amount_refunded": {
            "type": "integer",
            "description": "the order's total, without refunds that failed",
        },
    },
    "additionalProperties": False,
}

RECEIVED: dict[str, Any] = {
    "type": "object",
    "required": ["received", "outcome"],
    "properties": {"received": {"const": True}, "outcome": {"type": "string"}},
    "additionalProperties": False,
}

CONFIG: dict[str, Any] = {
    "type": "object",
    "required": ["publishable_key"],
    "properties": {
        "publishable_key": {"type": ["string", "null"]},
        "stripe_account": {"type": ["string", "null"]},
    },
    "additionalProperties": False,
}

OK: dict[str, Any] = {
    "type": "object",
    "required": ["status"],
    "properties": {"status": {"const": "ok"}},
    "additionalProperties": False,
}
