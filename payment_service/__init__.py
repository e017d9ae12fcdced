"""The payment service: one PaymentIntent per order, however often a shop asks for it.

From the bottom up; each may import what stands above it here:

    schema/      values that are checked field by field, and text that never shows
    errors.py    what a request for a payment may end with
    key_store/   one record per order: memory, SQLite, PostgreSQL or Redis
    settings/    the environment as frozen Settings
    gateways/    the contract of a payment provider, and Stripe
    payments/    the rules
    access/      clients, API keys and order tokens
    telemetry/   logs and metrics
    background/  loops: order events for the shop, late PaymentIntents
    wiring.py    puts all of these together, as the settings ask
    checkout/    the demo pages
    cli/         the commands of flask and of payment-service
    web/         HTTP: routes, parsing, access control, errors, OpenAPI
    server/      gunicorn's settings, hooks and worker
"""

__version__ = "0.2.0"
