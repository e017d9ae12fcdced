"""PayPal's failures, converted to errors of this service without secrets."""

from __future__ import annotations

import re

from payment_service.errors import (
    GatewayFailed,
    GatewayUnreachable,
    InFlight,
    Misconfigured,
    PaymentError,
    RateLimited,
    Refused,
)
from payment_service.gateways.paypal.api_calls import MAX_MESSAGE_CHARACTERS, ErrorAnswer
from payment_service.gateways.paypal.issues import is_about_account
from payment_service.gateways.paypal.verdicts import Problem
from payment_service.gateways.retry import SendFailed
from payment_service.gateways.send_report import Meaning
from payment_service.schema.secret import redacted, shortened

_WORD = re.compile("[A-Za-z0-9_.-]{1,100}")


def problem_of(failed: SendFailed) -> Problem | None:
    """Return PayPal's error object, if that is how the call ended."""
    cause = failed.__cause__
    return cause.problem if isinstance(cause, ErrorAnswer) else None


def error_of(failed: SendFailed) -> PaymentError:
    """Return the error that a failed call raises to the caller."""
    verdict, problem = failed.verdict, problem_of(failed)
    request_id = verdict.request_id
    match verdict.meaning:
        case Meaning.NO if problem and is_about_account(problem.issue):
            return refused_account(request_id)
        case Meaning.CONFIG:
            return refused_account(request_id)
        case Meaning.NO:
            return _refused(problem, request_id)
        case Meaning.BUSY:
            message = "PayPal is still working on an earlier request for this order."
            return InFlight(message, request_id=request_id)
        case Meaning.LIMITED:
            return RateLimited(
                "PayPal's rate limit was reached.",
                code="paypal_rate_limited",
                request_id=request_id,
                retry_after_seconds=verdict.retry_after_seconds,
            )
        case Meaning.NO_ANSWER:
            return GatewayUnreachable("PayPal did not answer.", code="paypal_unreachable")
        case _:
            message = "PayPal failed, or its answer is unreadable."
            return GatewayFailed(message, code="paypal_error", request_id=request_id)


def refused_account(request_id: str | None) -> Misconfigured:
    """Return the error for an operator."""
    message = "PayPal refused our credentials or our account."
    return Misconfigured(message, request_id=request_id)


def _refused(problem: Problem | None, request_id: str | None) -> Refused:
    said = problem.message if problem else ""
    message = redacted(shortened(said, MAX_MESSAGE_CHARACTERS)) or "PayPal refused the request."
    word = problem.word if problem else ""
    code = word if _WORD.fullmatch(word) else None
    return Refused(message, code=code, request_id=request_id)
