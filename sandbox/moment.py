"""The execution context of one request, and the settings of the sandbox."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sandbox.answers import JsonObject
from sandbox.authentication import Caller
from sandbox.identifiers import Identifiers
from sandbox.ledger import Ledger

Publish = Callable[[str, JsonObject, float], None]


@dataclass(frozen=True, slots=True)
class Rules:
    """The settings of a sandbox. Durations are in seconds of the sandbox clock."""

    # ACH and PAD settle in about four business days.
    settle_seconds: float = 4 * 86_400
    # Most card networks hold an authorized amount for seven days.
    authorization_seconds: float = 7 * 86_400
    # A refund that is pending, or that its bank returns, shows its end after this time.
    refund_seconds: float = 3_600.0
    search_lag_seconds: float = 2.0
    api_version: str = "2026-10-28.endive"
    base_url: str = "http://127.0.0.1:12111"


@dataclass(frozen=True, slots=True)
class Moment:
    """The context of one execution: caller, time, data and event publisher.

    `sent_at` is earlier than `now` when the fault late_object delayed the execution.
    """

    now: float
    sent_at: float
    caller: Caller
    ledger: Ledger
    ids: Identifiers
    rules: Rules
    publish: Publish

    def change(self, intent: JsonObject, event: str | None = None, **changes: object) -> JsonObject:
        """Write the next version of a PaymentIntent and publish `payment_intent.<event>`."""
        changed = {**intent, **changes}
        self.ledger.put(changed, self.now)
        if event:
            self.publish(f"payment_intent.{event}", changed, self.now)
        return changed
