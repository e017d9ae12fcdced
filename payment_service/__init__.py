"""The payment service: one PaymentIntent per order, however often a shop asks for it.

From the bottom layer up. Each may import only those listed above it:

    schema/      values that are validated field by field, and secret text
    errors.py    every error, in one tree
    outage.py    the beginning and the end of an outage, for the log
    key_store/   one record per order: memory, SQLite, PostgreSQL or Redis
    settings/    the environment as frozen Settings
    http_client/ every outgoing HTTP call
    gateways/    the contracts of payment providers, Stripe and PayPal
    payments/    the rules
    access/      clients, operators, API keys and order tokens
    telemetry/   logs, metrics and traces
    background/  loops: order events for the shop, late PaymentIntents, approvals
    wiring.py    the composition root: builds these from the settings
    checkout/    the demo pages
    operator_page/  the operator's page
    cli/         the flask and payment-service commands
    web/         HTTP: routes, parsing, access control, errors, OpenAPI
    server/      gunicorn's settings, hooks and worker
"""

__version__ = "0.2.0"
