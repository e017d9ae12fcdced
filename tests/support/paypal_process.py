"""`python -m sandbox.paypal` as a process."""

from __future__ import annotations

from typing import Any

from tests.support.sandbox_process import SandboxProcess

WEBHOOK_ID = "1JE4291016473214C"


class PayPalProcess(SandboxProcess):
    """PayPal's stand-in on a free port; `faults`, `advance`, `rules` and others as Stripe's."""

    module = "sandbox.paypal"

    def act(self, order_id: str, verb: str, **given: Any) -> dict[str, Any]:
        """Act on an order: approve, decline, void, capture_status; refund and its like."""
        found: dict[str, Any] = self.control("POST", f"orders/{order_id}/{verb}", given)
        return found

    def orders(self, custom_id: str = "A-1") -> list[dict[str, Any]]:
        """Return the id, the status and the captures of the orders of this name."""
        found: dict[str, list[dict[str, Any]]] = self.control("GET", "state")["orders"]
        return found.get(custom_id, [])

    def refunds(self, custom_id: str = "A-1") -> list[str]:
        """Return the values of the refunds of the orders of this name."""
        shown = [self.control("GET", f"orders/{each['id']}") for each in self.orders(custom_id)]
        payments = [each["purchase_units"][0].get("payments", {}) for each in shown]
        return [
            refund["amount"]["value"] for each in payments for refund in each.get("refunds", [])
        ]
