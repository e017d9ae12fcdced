"""The meanings of PayPal's issues, the machine-readable words of its rejections."""

from __future__ import annotations

# Another captured payment has this order's invoice id: the order is paid (rule 21).
DUPLICATE_INVOICE = "DUPLICATE_INVOICE_ID"

# Only with a processing instruction, which we never send.
COMPLETION_IN_PROGRESS = "ORDER_COMPLETION_IN_PROGRESS"

# Nothing moved; the shopper has not approved yet, or must return to PayPal's page.
NOT_APPROVED = frozenset({"ORDER_NOT_APPROVED", "PAYER_ACTION_REQUIRED"})

# Nothing moved; the shopper may choose another source for the same order.
DECLINED = frozenset({"INSTRUMENT_DECLINED", "REDIRECT_PAYER_FOR_ALTERNATE_FUNDING"})

# This order can never be captured.
NEVER = frozenset(
    {
        "COMPLIANCE_VIOLATION",
        "DOMESTIC_TRANSACTION_REQUIRED",
        "MAX_NUMBER_OF_PAYMENT_ATTEMPTS_EXCEEDED",
        "PAYEE_BLOCKED_TRANSACTION",
        "PAYER_ACCOUNT_LOCKED_OR_CLOSED",
        "PAYER_ACCOUNT_RESTRICTED",
        "PAYER_CANNOT_PAY",
        "TRANSACTION_BLOCKED_BY_PAYEE",
        "TRANSACTION_LIMIT_EXCEEDED",
        "TRANSACTION_REFUSED",
    }
)

# Nothing is left of the captured payment, or less than the refund.
NOTHING_LEFT = frozenset(
    {"CAPTURE_FULLY_REFUNDED", "CAPTURED_AMOUNT_FULLY_REFUNDED", "REFUND_AMOUNT_EXCEEDED"}
)

# The refund was not made.
NOT_REFUNDED = NOTHING_LEFT | {
    "CANNOT_BE_NEGATIVE",
    "CANNOT_BE_ZERO_OR_NEGATIVE",
    "CURRENCY_MISMATCH",
    "DECIMALS_NOT_SUPPORTED",
    "DECIMAL_PRECISION",
    "INVALID_CURRENCY_CODE",
    "MAX_NUMBER_OF_REFUNDS_EXCEEDED",
    "PARTIAL_REFUND_NOT_ALLOWED",
    "PAYER_ACCOUNT_LOCKED_OR_CLOSED",
    "PENDING_CAPTURE",
    "REFUND_AMOUNT_TOO_LOW",
    "REFUND_CAPTURE_CURRENCY_MISMATCH",
    "REFUND_FAILED_INSUFFICIENT_FUNDS",
    "REFUND_IS_RESTRICTED",
    "REFUND_NOT_ALLOWED",
    "REFUND_NOT_PERMITTED_DUE_TO_CHARGEBACK",
    "REFUND_TIME_LIMIT_EXCEEDED",
    "TRANSACTION_DISPUTED",
}

_ACCOUNT = frozenset({"AUTH_CAPTURE_NOT_ENABLED", "PERMISSION_DENIED"})


def is_about_account(issue: str) -> bool:
    """Whether PayPal rejects our account rather than this order."""
    if issue in NEVER:
        return False
    return issue in _ACCOUNT or issue.startswith(("NOT_ENABLED_FOR_", "PAYEE_"))
