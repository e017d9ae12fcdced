"""The paths of Stripe's API that this service uses: a closed set.

An id comes from an event, a record or an answer. One such as `search?query=x` or
`../customers/cus_1` would address something else, so `path_of` checks each id.
"""

from __future__ import annotations

from payment_service.errors import GatewayFailed
from payment_service.gateways.contract import NoSuchIntent
from payment_service.gateways.stripe.intents import is_charge_id, is_intent_id

INTENTS = "/v1/payment_intents"
SEARCH = f"{INTENTS}/search"
INTENT = f"{INTENTS}/:id"
CANCEL = f"{INTENT}/cancel"
CAPTURE = f"{INTENT}/capture"
REFUNDS = "/v1/refunds"
DISPUTES = "/v1/disputes"
CHARGE = "/v1/charges/:id"

# Every request that the service sends: the method, and the route of the path.
OPERATIONS = (
    ("POST", INTENTS),
    ("GET", INTENTS),
    ("GET", SEARCH),
    ("GET", INTENT),
    ("POST", INTENT),
    ("POST", CANCEL),
    ("POST", CAPTURE),
    ("POST", REFUNDS),
    ("GET", REFUNDS),
    ("GET", DISPUTES),
    ("GET", CHARGE),
)

# The metric label of any other path.
OTHER = "other"


def path_of(route: str, intent_id: str) -> str:
    """Return the path of a PaymentIntent. Raises NoSuchIntent for a malformed id."""
    if not is_intent_id(intent_id):
        raise NoSuchIntent(route)
    return route.replace(":id", intent_id)


def charge_path(charge_id: str) -> str:
    """Return the path of a charge. Raises GatewayFailed for a malformed id: Stripe named it."""
    if not is_charge_id(charge_id):
        raise GatewayFailed("Stripe named a charge with a malformed id.")
    return CHARGE.replace(":id", charge_id)


def route_of(path: str) -> str:
    """Return the route of a path, as a metric label."""
    if path in (INTENTS, SEARCH, REFUNDS, DISPUTES):
        return path
    if is_charge_id(path.removeprefix("/v1/charges/")):
        return CHARGE
    behind = path.removeprefix(f"{INTENTS}/")
    if behind != path:
        for route, ending in ((INTENT, ""), (CANCEL, "/cancel"), (CAPTURE, "/capture")):
            if behind.endswith(ending) and is_intent_id(behind.removesuffix(ending)):
                return route
    return OTHER
