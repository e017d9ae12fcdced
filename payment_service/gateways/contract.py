"""The gateway contract: the operations that the rules ask of a payment provider.

Each provider has a folder beside this file; tests/conformance/gateways holds it to the contract.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from payment_service.gateways.deadline import Deadline
from payment_service.gateways.facts import GatewayFacts
from payment_service.gateways.intent import Intent
from payment_service.gateways.outcome import Outcome
from payment_service.gateways.sent_params import SentParams
from payment_service.key_store.contract import Order


class NoSuchIntent(Exception):
    """The gateway does not know the PaymentIntent under this key and account."""


class Gateway(Protocol):
    """One account at one provider. Every call ends before its deadline."""

    api_version: str

    @property
    def facts(self) -> GatewayFacts:
        """The provider's promises."""
        ...

    def create(self, sent: SentParams, key: str, deadline: Deadline) -> Outcome:
        """Send a creation under an idempotency key; never raises for what the gateway does."""
        ...

    def retrieve(self, intent_id: str, deadline: Deadline) -> Intent:
        """Return the PaymentIntent as it is now.

        Raises NoSuchIntent, or a PaymentError where the gateway did not say.
        """
        ...

    def find(
        self, order: Order, since: float, deadline: Deadline, sent_until: float | None = None
    ) -> list[Intent]:
        """Return every PaymentIntent whose metadata names the order, as it is now.

        `since` (Unix seconds): when the first of them may have been made. `sent_until`: when the
        last send that may have made one had ended; None: just now. Reads the whole of the list
        between them, and the search for what is older than the list reaches. Raises a
        PaymentError where the gateway did not say all.
        """
        ...

    def walk(self, since: float, page_seconds: float) -> Iterator[Intent]:
        """Yield every PaymentIntent that was made since then, as it is when its page is read.

        `page_seconds` bounds each page. Raises a PaymentError where the gateway did not say all.
        """
        ...

    def update(self, intent_id: str, sent: SentParams, key: str, deadline: Deadline) -> Outcome:
        """Change a PaymentIntent under a key; never raises for what the gateway does."""
        ...

    def shows(self, intent: Intent, sent: SentParams) -> bool:
        """Whether the PaymentIntent is what an update with these parameters asks for."""
        ...

    def cancel(self, intent_id: str, reason: str, deadline: Deadline) -> Intent | None:
        """Cancel a PaymentIntent; None where its status does not allow that (any more).

        Raises NoSuchIntent, or a PaymentError where the gateway did not say.
        """
        ...
