"""The service with Sentry: SENTRY_DSN=https://… gunicorn examples.sentry_wsgi:app

Every log line on level ERROR becomes an event, a bug with its traceback. What could hold a secret
or name a shopper stays here: local variables, request bodies, headers and queries.
"""

from typing import Any

import sentry_sdk
from sentry_sdk.integrations.flask import FlaskIntegration

from payment_service.schema.secret import redacted

# Of the request, an event names these alone.
OF_THE_REQUEST = ("method", "url")


def without_secrets(value: Any) -> Any:
    """Return a part of an event without keys, tokens and client_secrets in its texts."""
    if isinstance(value, str):
        return redacted(value)
    if isinstance(value, dict):
        return {redacted(str(name)): without_secrets(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [without_secrets(each) for each in value]
    return value


def scrub(event: Any, _: Any) -> Any:
    """Prepare an event for Sentry."""
    request = event.get("request", {})
    event["request"] = {name: request[name] for name in OF_THE_REQUEST if name in request}
    return without_secrets(event)


# Reads SENTRY_DSN, SENTRY_ENVIRONMENT and SENTRY_RELEASE; without SENTRY_DSN it sends nothing.
sentry_sdk.init(
    integrations=[FlaskIntegration(transaction_style="url")],
    include_local_variables=False,
    max_request_body_size="never",
    send_default_pii=False,
    before_send=scrub,
)

# Imported last: in each worker of the server, this builds the application.
from stripe_back_end_api import app  # noqa: E402

__all__ = ["app"]
