"""The paths of PayPal's API that this service uses: a closed set."""

from __future__ import annotations

from payment_service.gateways.contract import NoSuchIntent
from payment_service.gateways.paypal.names import is_order_id

TOKEN = "/v1/oauth2/token"  # noqa: S105 - a path
ORDERS = "/v2/checkout/orders"
ORDER = f"{ORDERS}/:id"
CAPTURE = f"{ORDER}/capture"
REFUND = "/v2/payments/captures/:id/refund"

# Every request that the service sends: the method, and the route of the path.
OPERATIONS = (
    ("POST", TOKEN),
    ("POST", ORDERS),
    ("GET", ORDER),
    ("POST", CAPTURE),
    ("POST", REFUND),
)

# The metric label of any other path.
OTHER = "other"


def path_of(route: str, object_id: str) -> str:
    """Return the path of an order or a capture. Raises NoSuchIntent for a malformed id."""
    if not is_order_id(object_id):
        raise NoSuchIntent(route)
    return route.replace(":id", object_id)


def route_of(path: str) -> str:
    """Return the route of a path, as a metric label."""
    if path in (TOKEN, ORDERS):
        return path
    for route in (ORDER, CAPTURE, REFUND):
        before, ending = route.split(":id")
        object_id = path.removeprefix(before).removesuffix(ending)
        if path == f"{before}{object_id}{ending}" and is_order_id(object_id):
            return route
    return OTHER
