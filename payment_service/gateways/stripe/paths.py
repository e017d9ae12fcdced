"""The addresses of Stripe's API that this service uses: a closed set, and the form of their ids.

An id comes from an event, a record or an answer. One like `search?query=x` or `../customers/cus_1`
would ask for something else, so that an id is checked wherever a path is built from it.
"""

from __future__ import annotations

from payment_service.gateways.contract import NoSuchIntent
from payment_service.gateways.stripe.intents import is_intent_id

INTENTS = "/v1/payment_intents"
SEARCH = f"{INTENTS}/search"
INTENT = f"{INTENTS}/:id"
CANCEL = f"{INTENT}/cancel"

# What a path that is none of these is counted as.
OTHER = "other"


def path_of(route: str, intent_id: str) -> str:
    """Return the path of a PaymentIntent. Raises NoSuchIntent for what is no id of one."""
    if not is_intent_id(intent_id):
        raise NoSuchIntent(route)
    return route.replace(":id", intent_id)


def route_of(path: str) -> str:
    """Return which of these a path belongs to, for a label of a metric."""
    if path in (INTENTS, SEARCH):
        return path
    behind = path.removeprefix(f"{INTENTS}/")
    if behind != path:
        for route, ending in ((INTENT, ""), (CANCEL, "/cancel")):
            if behind.endswith(ending) and is_intent_id(behind.removesuffix(ending)):
                return route
    return OTHER
