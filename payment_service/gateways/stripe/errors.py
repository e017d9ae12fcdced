"""Stripe's failures, converted to errors of this service without secrets."""

from __future__ import annotations

import re
from functools import partial

from payment_service.errors import (
    CardRefused,
    GatewayFailed,
    GatewayUnreachable,
    InFlight,
    Misconfigured,
    PaymentError,
    RateLimited,
    Refused,
)
from payment_service.gateways.calls import plain_id
from payment_service.gateways.retry import SendFailed
from payment_service.gateways.send_report import Meaning, Verdict
from payment_service.gateways.stripe.api_calls import ErrorAnswer
from payment_service.schema.secret import shortened

_SECRETS = re.compile(r"\b(?:sk|rk|pk|whsec)_\w+|\bpi_\w+_secret_\w+")

# Stripe's messages are one or two sentences long.
MAX_MESSAGE_CHARACTERS = 1_000

# A machine-readable word, as each of Stripe's codes is.
_CODE = re.compile("[A-Za-z0-9_.-]{1,100}")


def error_of(failed: SendFailed) -> PaymentError:
    """Return the error that a failed call raises to the caller."""
    verdict, cause = failed.verdict, failed.__cause__
    request_id = plain_id(verdict.request_id)
    match verdict.meaning:
        case Meaning.NO:
            return _refused(verdict, cause, request_id)
        case Meaning.CONFIG:
            message = "Stripe refused our credentials or our account."
            return Misconfigured(message, request_id=request_id)
        case Meaning.BUSY:
            message = "Stripe is still working on an earlier request for this order."
            return InFlight(message, request_id=request_id)
        case Meaning.LIMITED:
            return RateLimited(
                "Stripe's rate limit was reached.",
                request_id=request_id,
                retry_after_seconds=verdict.retry_after_seconds,
            )
        case Meaning.NO_ANSWER:
            return GatewayUnreachable("Stripe did not answer.")
        case _:
            return GatewayFailed(
                "Stripe failed, or its answer is unreadable.", request_id=request_id
            )


def is_missing(failed: SendFailed) -> bool:
    """Whether Stripe itself answered that it has no such object; a proxy's 404 does not say so."""
    cause = failed.__cause__
    error = (cause.error if isinstance(cause, ErrorAnswer) else None) or {}
    return failed.verdict.status == 404 and error.get("code") == "resource_missing"


def _refused(verdict: Verdict, cause: BaseException | None, request_id: str | None) -> Refused:
    error = (cause.error if isinstance(cause, ErrorAnswer) else None) or {}
    kind = CardRefused if verdict.status == 402 else Refused
    message = str(error.get("message") or "Stripe refused the request.")
    words = (error.get(name) for name in ("code", "type"))
    code = next((word for word in map(partial(_plain, _CODE), words) if word), None)
    return kind(without_secrets(message), code=code, request_id=request_id)


def without_secrets(message: str) -> str:
    """Return the start of a Stripe message, with keys and client_secrets redacted."""
    return _SECRETS.sub("****", shortened(message, MAX_MESSAGE_CHARACTERS))


def _plain(form: re.Pattern[str], text: object) -> str | None:
    """Return the text if it matches: an answer from Stripe or a proxy may hold anything."""
    return text if isinstance(text, str) and form.fullmatch(text) else None
