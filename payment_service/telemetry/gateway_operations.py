"""The requests to each gateway, as labels of metrics and names of spans: a closed set."""

from __future__ import annotations

from payment_service.gateways.paypal import paths as paypal
from payment_service.gateways.stripe import paths as stripe
from payment_service.schema.gateway_names import PAYPAL, STRIPE

# Gateway → every method and route that the service sends.
OPERATIONS = {STRIPE: stripe.OPERATIONS, PAYPAL: paypal.OPERATIONS}

# The label of any other path, whatever the gateway.
OTHER = stripe.OTHER

# Gateway → the function that returns the route of a path.
ROUTE_OF = {STRIPE: stripe.route_of, PAYPAL: paypal.route_of}
