"""Paid and authorized PaymentIntents of a sandbox in this process."""

from __future__ import annotations

from typing import Any

from sandbox.answers import Response
from tests.support.sandbox_in_process import Shop

REFUNDS, CHARGES, DISPUTES = "/v1/refunds", "/v1/charges", "/v1/disputes"


class PaidShop(Shop):
    """A shop with short methods for charges, refunds and disputes."""

    def pay(self, method: str = "pm_card_visa", **params: Any) -> dict[str, Any]:
        """Create and confirm a PaymentIntent for 10.99 usd."""
        return self.create(payment_method=method, confirm="true", **params)

    def authorize(self, method: str = "pm_card_visa") -> dict[str, Any]:
        """Create a PaymentIntent whose 10.99 usd can be captured."""
        return self.pay(method, capture_method="manual")

    def refund(self, intent: dict[str, Any], **params: Any) -> Response:
        """Ask for a refund of a PaymentIntent, under `key` as the idempotency key."""
        key = params.pop("key", None)
        headers = {"Idempotency_Key": key} if key else {}
        return self.post(REFUNDS, {"payment_intent": intent["id"], **params}, **headers)

    def refunded(self, intent: dict[str, Any], **params: Any) -> dict[str, Any]:
        """Refund a PaymentIntent; a rejection fails the test."""
        answer = self.refund(intent, **params)
        assert answer.status == 200, answer.body
        found: dict[str, Any] = answer.json()
        return found

    def intent(self, intent_id: str, **params: Any) -> dict[str, Any]:
        found: dict[str, Any] = self.get(f"/v1/payment_intents/{intent_id}", params).json()
        return found

    def charge(self, intent: dict[str, Any], **params: Any) -> dict[str, Any]:
        """Return the current charge of a PaymentIntent."""
        charge_id = self.intent(intent["id"])["latest_charge"]
        found: dict[str, Any] = self.get(f"{CHARGES}/{charge_id}", params).json()
        return found

    def ids(self, path: str, **params: Any) -> list[str]:
        """Return the ids of a page."""
        answer = self.get(path, params)
        assert answer.status == 200, answer.body
        return [each["id"] for each in answer.json()["data"]]

    def event_types(self) -> list[str]:
        """Return the whole event types, oldest first."""
        data = self.get("/v1/events", {"limit": 100}).json()["data"]
        return [event["type"] for event in reversed(data)]
