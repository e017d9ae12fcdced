"""The OpenAPI operations on orders."""

from __future__ import annotations

from typing import Any

from payment_service.errors import (
    AlreadyCaptured,
    AlreadyPaid,
    BadRequest,
    Changed,
    GatewayNotAccepted,
    NoLongerOpen,
    NotAuthorized,
    NotFound,
    NotPaid,
    OrderReused,
    PaymentError,
    RefundReused,
    StoreDown,
    TooManyRequests,
)
from payment_service.payments.request.create import PaymentRequest
from payment_service.payments.request.existing_order import (
    CancelRequest,
    CaptureRequest,
    RefundRequest,
    StatusRequest,
    UpdateRequest,
)
from payment_service.web.openapi import answers, order_list
from payment_service.web.openapi.operation_parts import (
    ACCESS_ERRORS,
    REQUEST_ID,
    answer,
    body_of,
    errors_of,
    guarded_by_proof,
    post,
    replayable,
)
from payment_service.web.openapi.responses import JSON_BODY, Statuses, responses
from payment_service.web.openapi.schemas import request_schema


def create(statuses: Statuses, *, guarded: bool) -> dict[str, Any]:
    """Return the operation POST /create-payment-intent."""
    operation = post(
        "createPaymentIntent",
        "Create the order's PaymentIntent, or return the existing one",
        body_of(PaymentRequest),
        replayable("createPaymentIntent", "The order's PaymentIntent", answers.CREATED),
        responses(
            errors_of(OrderReused, NoLongerOpen, GatewayNotAccepted, AlreadyPaid, guarded=guarded),
            statuses,
            JSON_BODY,
        ),
    )
    description = (
        "Repeated requests for the same order return the same PaymentIntent. Check `status` before "
        "you ask for money: a paid order returns `succeeded`. With `accept_gateways`, the payment "
        "may be at another gateway, which `gateway` names; send the same request again after the "
        "shopper has come back from `redirect_url`."
    )
    if guarded:
        description += " The request may omit fields that its order's token signs."
    return guarded_by_proof({**operation, "description": description}, guarded=guarded)


def update(statuses: Statuses, *, guarded: bool) -> dict[str, Any]:
    """Return the operation POST /update-payment-intent."""
    operation = post(
        "updatePaymentIntent",
        "Change the order's PaymentIntent while it can be paid",
        body_of(UpdateRequest),
        replayable("updatePaymentIntent", "The PaymentIntent as it is now", answers.CHANGED),
        responses(
            errors_of(NotFound, Changed, NoLongerOpen, AlreadyPaid, guarded=guarded),
            statuses,
            JSON_BODY,
        ),
    )
    description = (
        "Absent fields keep their values; Stripe merges `metadata` name by name. With "
        "`expected_amount` or `expected_revision`, an order in another state stays as it is."
    )
    return guarded_by_proof({**operation, "description": description}, guarded=guarded)


def cancel(statuses: Statuses, *, guarded: bool) -> dict[str, Any]:
    """Return the operation POST /cancel-payment-intent."""
    operation = post(
        "cancelPaymentIntent",
        "Cancel the order's PaymentIntent",
        body_of(CancelRequest),
        answer("cancelPaymentIntent", "The PaymentIntent as it is now", answers.CHANGED),
        responses(
            errors_of(NotFound, NoLongerOpen, AlreadyPaid, guarded=guarded), statuses, JSON_BODY
        ),
    )
    description = "A canceled order can be created again, as a new attempt."
    return guarded_by_proof({**operation, "description": description}, guarded=guarded)


def capture(statuses: Statuses, *, guarded: bool) -> dict[str, Any]:
    """Return the operation POST /capture-payment-intent."""
    operation = post(
        "capturePaymentIntent",
        "Capture the order's authorization",
        body_of(CaptureRequest),
        replayable("capturePaymentIntent", "The captured PaymentIntent", answers.CAPTURED),
        responses(
            errors_of(NotFound, NotAuthorized, AlreadyCaptured, AlreadyPaid, guarded=guarded),
            statuses,
            JSON_BODY,
        ),
    )
    description = (
        "For orders that were created with `capture_method: manual`. Repeated requests capture "
        "once. Another amount afterwards is an error that names the captured `amount`."
    )
    return guarded_by_proof({**operation, "description": description}, guarded=guarded)


def refund(statuses: Statuses, *, guarded: bool) -> dict[str, Any]:
    """Return the operation POST /refund-payment-intent."""
    operation = post(
        "refundPaymentIntent",
        "Refund a paid order, in whole or in part",
        body_of(RefundRequest),
        replayable("refundPaymentIntent", "The refund as it is now", answers.REFUNDED),
        responses(
            errors_of(NotFound, NotPaid, RefundReused, AlreadyPaid, guarded=guarded),
            statuses,
            JSON_BODY,
        ),
    )
    description = (
        "A `refund_id` of an order is refunded once, however often it is requested. A refund that "
        "failed at the gateway keeps its `refund_id`; try again with another one. An order that "
        "was paid at PayPal is refunded there; PayPal keeps no `metadata` and no `reason` of it."
    )
    return guarded_by_proof({**operation, "description": description}, guarded=guarded)


def status(statuses: Statuses, *, guarded: bool) -> dict[str, Any]:
    """Return the operation GET /payment-intent."""
    model = request_schema(StatusRequest, signed=guarded)
    query = [
        {
            "name": name,
            "in": "query",
            "required": name in model["required"],
            "schema": _of_query(field),
            "description": field["description"],
        }
        for name, field in model["properties"].items()
    ]
    status = {"$ref": "#/components/schemas/OrderStatus"}
    operation = {
        "operationId": "getPaymentIntent",
        "summary": "Get the state of an order",
        "description": "The record answers, without a call to Stripe. With `refresh`, the service "
        "asks Stripe first.",
        "parameters": [*query, REQUEST_ID],
        "responses": {
            "200": answer("getPaymentIntent", "The order", status),
            **responses(errors_of(NotFound, guarded=guarded), statuses),
        },
    }
    return guarded_by_proof(operation, guarded=guarded)


def list_orders(statuses: Statuses, *, guarded: bool) -> dict[str, Any]:
    """Return the operation GET /orders."""
    access = ACCESS_ERRORS if guarded else (TooManyRequests,)
    page = {"$ref": "#/components/schemas/OrderPage"}
    operation = {
        "operationId": "listOrders",
        "summary": order_list.SUMMARY,
        "description": order_list.DESCRIPTION,
        "parameters": [*order_list.parameters(), REQUEST_ID],
        "responses": {
            "200": answer("listOrders", "A page of orders", page),
            **responses((BadRequest, StoreDown, PaymentError, *access), statuses),
        },
    }
    return guarded_by_proof(operation, guarded=guarded)


def _of_query(field: dict[str, Any]) -> dict[str, Any]:
    """Convert a field's schema for a query string, where values are text and never null."""
    choices = field.get("anyOf", [field])
    return {**next(each for each in choices if each.get("type") != "null"), "type": "string"}
