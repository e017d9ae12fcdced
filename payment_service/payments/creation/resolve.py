"""Settle an order whose outcome is unknown, without a client that asks for it."""

from __future__ import annotations

from payment_service.errors import Misconfigured, Refused
from payment_service.gateways.deadline import Deadline
from payment_service.key_store.contract import KeyRecord, Order
from payment_service.payments.context import Tools
from payment_service.payments.creation.attempt import Attempt
from payment_service.payments.creation.states import Over, Owned
from payment_service.payments.record import transitions
from payment_service.payments.record.transitions import Wanted


def is_unknown(record: KeyRecord, now: float) -> bool:
    """Whether nobody is at the order, and what was sent for it may have arrived or not."""
    return record.state == "pending" and not transitions.holds(record.locked_until, now)


def check_served(tools: Tools, order: Order) -> None:
    """Raise Misconfigured for an order whose account is not known here: in another its key makes
    another PaymentIntent, which is then recorded and which its client cannot reach.
    """
    if not tools.serves(order):
        raise Misconfigured(
            "This order's client is not in CLIENTS_FILE, so its account is not known."
        )


def resolve(tools: Tools, record: KeyRecord, deadline: Deadline) -> KeyRecord | None:
    """Do what the next request for an unknown order would do, and return its record then.

    The very same way: the lock, the same key and params, or a look-up (rules 2 to 5). Where
    nothing came of the attempt it is closed, and the next request begins another; none is begun
    here, because nobody asks. Raises PaymentError where Stripe did not say, or is not to be asked.
    """
    check_served(tools, record.order)
    # Before the claim: a record whose gateway is not known here stays as it is.
    tools.gateway_of(record)
    mine = transitions.taken_over(record, tools.lease())
    if not tools.store.replace(record, mine):
        return tools.store.read(record.order)
    wanted = Wanted(record.order, record.fingerprint, record.params)
    owned = Owned(mine, inherited=True, sent_until=record.locked_until)
    attempt = Attempt(tools, wanted, owned, deadline.earlier(tools.timing.store))
    try:
        end = attempt.carry_out()
    except Refused:
        end = None
    if isinstance(end, Over):
        over = transitions.rejected(attempt.record, "nothing_made", tools.clock(), in_doubt=True)
        tools.store.replace(attempt.record, over)
    return tools.store.read(record.order)
