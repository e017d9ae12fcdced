"""GET /openapi.json: OpenAPI 3.1, generated from the request models and the error table."""

from __future__ import annotations

from typing import Any

from payment_service import __version__
from payment_service.payments.changes.status import OrderStatus
from payment_service.payments.request.create import PaymentRequest
from payment_service.payments.request.existing_order import (
    MAX_REFUND_METADATA,
    CancelRequest,
    CaptureRequest,
    RefundRequest,
    UpdateRequest,
)
from payment_service.payments.request.metadata import RESERVED
from payment_service.web.openapi import order_list, order_operations, service_operations
from payment_service.web.openapi.responses import ERROR, Statuses
from payment_service.web.openapi.schemas import request_schema, schema_of


def document(statuses: Statuses, *, guarded: bool) -> dict[str, Any]:
    """Return the document. `guarded`: whether requests need a token or an API key."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Payments",
            "version": __version__,
            "description": "At most one payable PaymentIntent per order, forever. Every request "
            "can be retried safely.",
        },
        "paths": {
            "/create-payment-intent": {"post": order_operations.create(statuses, guarded=guarded)},
            "/payment-intent": {"get": order_operations.status(statuses, guarded=guarded)},
            "/orders": {"get": order_operations.list_orders(statuses, guarded=guarded)},
            "/update-payment-intent": {"post": order_operations.update(statuses, guarded=guarded)},
            "/cancel-payment-intent": {"post": order_operations.cancel(statuses, guarded=guarded)},
            "/capture-payment-intent": {
                "post": order_operations.capture(statuses, guarded=guarded)
            },
            "/refund-payment-intent": {"post": order_operations.refund(statuses, guarded=guarded)},
            "/webhook": {"post": service_operations.stripe_webhook(statuses)},
            "/webhook/paypal": {"post": service_operations.paypal_webhook(statuses)},
            "/config": {"get": service_operations.config(statuses)},
            "/healthz": {"get": service_operations.health()},
            "/readyz": {"get": service_operations.readiness(statuses)},
        },
        "components": {
            "schemas": {
                "Error": ERROR,
                "PaymentRequest": request_schema(PaymentRequest, signed=guarded),
                "UpdateRequest": request_schema(UpdateRequest),
                "CancelRequest": request_schema(CancelRequest),
                "CaptureRequest": request_schema(CaptureRequest),
                "RefundRequest": _refund_request(),
                "OrderStatus": _order_status(),
                "OrderPage": order_list.page_schema(),
            },
            "securitySchemes": {
                "proof": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "An order's token, signed by the shop, or a client's API key.",
                }
            },
        },
    }


def _refund_request() -> dict[str, Any]:
    """Return the schema of a refund, whose metadata has a limit and a reserved name of its own."""
    schema = request_schema(RefundRequest)
    metadata = schema["properties"]["metadata"]
    names = {**metadata["anyOf"][0]["propertyNames"], "not": {"enum": [*RESERVED, "refund_id"]}}
    field = {
        **metadata["anyOf"][0],
        "propertyNames": names,
        "maxProperties": MAX_REFUND_METADATA,
    }
    schema["properties"]["metadata"] = {**metadata, "anyOf": [field, *metadata["anyOf"][1:]]}
    return schema


def _order_status() -> dict[str, Any]:
    schema = schema_of(OrderStatus)
    return {
        "type": "object",
        "description": OrderStatus.__doc__,
        "properties": schema["properties"],
        "required": schema["required"],
        "additionalProperties": False,
    }
