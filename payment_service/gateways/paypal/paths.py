"""The paths of PayPal's API that this service uses: a closed set."""

from __future__ import annotations

from payment_service.gateways.contract import NoSuchIntent
from payment_service.gateways.paypal.names import is_order_id

TOKEN = "/v1/oauth2/token"  # noqa: S105 - a path
ORDERS = "/v2/checkout/orders"
ORDER = f"{ORDERS}/:id"
CAPTURE = f"{ORDER}/capture"

# Every request that the service sends: the method, and the route of the path.
OPERATIONS = (("POST", TOKEN), ("POST", ORDERS), ("GET", ORDER), ("POST", CAPTURE))

# The metric label of any other path.
OTHER = "other"


def path_of(route: str, order_id: str) -> str:
    """Return the path of an order. Raises NoSuchIntent for a malformed id."""
    if not is_order_id(order_id):
        raise NoSuchIntent(route)
    return route.replace(":id", order_id)


def route_of(path: str) -> str:
    """Return the route of a path, as a metric label."""
    if path in (TOKEN, ORDERS):
        return path
    behind = path.removeprefix(f"{ORDERS}/")
    if behind != path:
        for route, ending in ((ORDER, ""), (CAPTURE, "/capture")):
            if behind.endswith(ending) and is_order_id(behind.removesuffix(ending)):
                return route
    return OTHER
