"""PaymentIntents that the gateway no longer has.

Test data can be deleted at Stripe, and a test key can be replaced by another account's. In live
mode Stripe deletes nothing, so the key there is another account's.
"""

from __future__ import annotations

from msgspec.structs import replace

from payment_service.errors import Misconfigured
from payment_service.gateways.contract import Gateway, NoSuchIntent
from payment_service.gateways.deadline import Deadline
from payment_service.gateways.intent import CANCELED, OVER, Intent


def fetch_again(gateway: Gateway, known: Intent, deadline: Deadline) -> Intent:
    """Fetch a PaymentIntent that we knew before; see `missing` if the gateway no longer has it.

    Raises the PaymentErrors of a retrieval.
    """
    try:
        return gateway.retrieve(known.id, deadline)
    except NoSuchIntent:
        return missing(known)


def missing(known: Intent) -> Intent:
    """Return a PaymentIntent of test mode that is gone: as canceled, or as paid if it was paid.

    Raises Misconfigured in live mode.
    """
    if known.livemode:
        raise Misconfigured(
            "Stripe does not know this order's PaymentIntent. Is the key another account's? If "
            "not, the command `orders free` lets the order be created again."
        )
    status = known.status if known.status in OVER else CANCELED
    return replace(known, status=status, client_secret="", missing=True)
