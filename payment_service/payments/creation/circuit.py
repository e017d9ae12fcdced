"""Tell the circuits how a creation ended at its gateway."""

from __future__ import annotations

from payment_service.errors import GatewayFailed
from payment_service.gateways.facts import GatewayFacts
from payment_service.gateways.outcome import GatedOutcome, Unclear
from payment_service.payments.context import Context


def note_outcome(context: Context, gateway: GatewayFacts, outcome: GatedOutcome) -> None:
    """Note whether the gateway answered. A 5xx counts as a failure, and so does what is unreadable.

    A refusal is an answer, of the rate limiter's and of our credentials too. A saved 5xx from
    before this call says nothing about the gateway's health today.
    """
    if context.failover is None:
        return
    failed = (
        isinstance(outcome, Unclear)
        and isinstance(outcome.error, GatewayFailed)
        and not outcome.from_before
    )
    context.failover.circuits.note(gateway.name, failed=failed)
