"""The OpenAPI operations that are not about one order: webhooks, configuration and health."""

from __future__ import annotations

from typing import Any

from payment_service.errors import BadRequest, CardRefused, Refused, StoreDown, TooManyRequests
from payment_service.web.openapi import answers
from payment_service.web.openapi.operation_parts import (
    PAYMENT_ERRORS,
    REQUEST_ID,
    answer,
    plain,
    post,
)
from payment_service.web.openapi.responses import EVENT_BODY, UNREADABLE, Statuses, responses


def stripe_webhook(statuses: Statuses) -> dict[str, Any]:
    """Return the operation POST /webhook."""
    signature = {
        "name": "Stripe-Signature",
        "in": "header",
        "required": True,
        "schema": {"type": "string"},
    }
    return _receives_events(
        "receiveEvent", "Stripe", "webhook_secret_missing", [signature], statuses
    )


def paypal_webhook(statuses: Statuses) -> dict[str, Any]:
    """Return the operation POST /webhook/paypal."""
    headers = [
        {"name": name, "in": "header", "required": True, "schema": {"type": "string"}}
        for name in (
            "PayPal-Transmission-Id",
            "PayPal-Transmission-Time",
            "PayPal-Transmission-Sig",
            "PayPal-Cert-Url",
            "PayPal-Auth-Algo",
        )
    ]
    return _receives_events("receivePayPalEvent", "PayPal", "webhook_id_missing", headers, statuses)


def _receives_events(
    name: str, sender: str, unset: str, headers: list[dict[str, Any]], statuses: Statuses
) -> dict[str, Any]:
    """Return the operation of a webhook. `unset`: the code while the service can verify nothing."""
    event = {"type": "object", "description": f"{sender}'s event"}
    kinds = tuple(kind for kind in PAYMENT_ERRORS if kind not in (Refused, CardRefused))
    found = responses((*kinds, TooManyRequests), statuses, EVENT_BODY)
    refused = found["400"]["content"]["application/json"]["schema"]["allOf"][1]["properties"]
    refused["code"]["enum"] = [unset, "invalid_signature", "malformed_json", UNREADABLE]
    text = "Applied, or nothing to apply"
    received = answer(name, text, answers.RECEIVED)
    return {
        **post(name, f"Receive an event from {sender}", event, received, found),
        "description": "Authenticated by the signature over the bytes of the body.",
        "parameters": [*headers, REQUEST_ID],
    }


def config(statuses: Statuses) -> dict[str, Any]:
    """Return the operation GET /config."""
    client_id = {
        "name": "client_id",
        "in": "query",
        "required": False,
        "schema": {"type": "string"},
        "description": "The client, if one service takes payments for several clients.",
    }
    operation = plain(
        "getConfig",
        "Public settings for the checkout page",
        answers.CONFIG,
        responses([BadRequest, TooManyRequests], statuses),
    )
    return {**operation, "parameters": [client_id, REQUEST_ID]}


def health() -> dict[str, Any]:
    """Return the operation GET /healthz."""
    return plain("getHealth", "The process is alive", answers.OK)


def readiness(statuses: Statuses) -> dict[str, Any]:
    """Return the operation GET /readyz."""
    errors = responses([StoreDown], statuses)
    return plain("getReadiness", "An order can be stored", answers.OK, errors)
