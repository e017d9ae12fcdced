"""The outcome of a capture: from the order that PayPal shows, or from its rejection."""

from __future__ import annotations

from msgspec.structs import replace

from payment_service.errors import CardRefused, PaymentError, Refused
from payment_service.gateways.capture_outcome import (
    AccountRefused,
    Captured,
    CaptureOver,
    CaptureUnclear,
    FailedCapture,
    PayerNeeded,
    PaymentGone,
)
from payment_service.gateways.intent import CANCELED, PROCESSING, SUCCEEDED, Intent
from payment_service.gateways.outcome import PaidBefore
from payment_service.gateways.paypal import issues
from payment_service.gateways.paypal.errors import error_of, problem_of, refused_account
from payment_service.gateways.retry import SendFailed

# The statuses after a capture: the money moved, is moving, or never will.
_ENDS = frozenset({SUCCEEDED, PROCESSING, CANCELED})


def is_end(intent: Intent) -> bool:
    """Whether the order shows that its one capture was made, or can never be made."""
    return intent.status in _ENDS


def outcome_of(intent: Intent, *, replayed: bool) -> Captured | CaptureOver:
    """Return the outcome that an order shows whose capture was made or can never be made."""
    if intent.status != CANCELED:
        return Captured(intent, replayed)
    code = intent.failure.code if intent.failure else None
    return CaptureOver(CardRefused("PayPal declined the payment.", code=code), intent)


def is_duplicate(failed: SendFailed) -> bool:
    """Whether PayPal has captured a payment with this order's invoice id, perhaps this one."""
    problem = problem_of(failed)
    return problem is not None and problem.issue == issues.DUPLICATE_INVOICE


def outcome_of_failure(
    failed: SendFailed, order_id: str, *, after_unresolved: bool = False
) -> FailedCapture:
    """Return the outcome of the last failed send, for the order with this id.

    `after_unresolved`: PayPal may have executed an earlier send of this call, which may still be
    under way. Then a rejection tells nothing about that one, so the outcome is unclear.
    """
    outcome = _outcome(failed)
    if after_unresolved and not isinstance(outcome, CaptureUnclear):
        return CaptureUnclear(outcome.error)
    if isinstance(outcome, PayerNeeded):
        return replace(outcome, redirect_url=_page(failed, order_id))
    return outcome


def _page(failed: SendFailed, order_id: str) -> str | None:
    """Return the page that the rejection links to, if it is this order's."""
    problem = problem_of(failed)
    page = problem.page if problem else None
    ours = page and order_id in page and page.startswith(("https://", "http://"))
    return page if ours else None


def _outcome(failed: SendFailed) -> FailedCapture:
    error, status = error_of(failed), failed.verdict.status
    problem = problem_of(failed)
    issue = problem.issue if problem else ""
    if status == 422 and issues.is_about_account(issue):
        return AccountRefused(refused_account(error.request_id))
    match status, problem and problem.name:
        case 403, "NOT_AUTHORIZED":
            return AccountRefused(refused_account(error.request_id))
        case 404, "RESOURCE_NOT_FOUND" if isinstance(error, Refused):
            return PaymentGone(error)
        case 422, "UNPROCESSABLE_ENTITY" if isinstance(error, Refused):
            return _rejected(issue, error)
        case ((400 | 415), _):
            return CaptureUnclear(error, alarm=problem.word if problem else None)
    return CaptureUnclear(error)


def _rejected(issue: str, error: Refused) -> FailedCapture:
    """Return the outcome of a 422 by its first issue. Any unknown one is unclear."""
    if issue in issues.NOT_APPROVED:
        return PayerNeeded(error, declined=False)
    if issue in issues.DECLINED:
        return PayerNeeded(_declined(error), declined=True)
    if issue in issues.NEVER:
        return CaptureOver(error)
    if issue == issues.DUPLICATE_INVOICE:
        return PaidBefore(error)
    alarm = issue if issue == issues.COMPLETION_IN_PROGRESS else None
    return CaptureUnclear(error, alarm=alarm)


def _declined(error: PaymentError) -> CardRefused:
    return CardRefused(error.message, code=error.code, request_id=error.request_id)
