"""PayPal's errors: names, issues and sentences of its descriptions of Orders and Payments v2."""

from __future__ import annotations

import json
from collections.abc import Iterator

from sandbox.answers import JsonObject, Response, encode

_NAMES = {
    400: (
        "INVALID_REQUEST",
        "Request is not well-formed, syntactically incorrect, or violates schema.",
    ),
    401: (
        "AUTHENTICATION_FAILURE",
        "Authentication failed due to missing authorization header, or invalid authentication "
        "credentials.",
    ),
    403: ("NOT_AUTHORIZED", "Authorization failed due to insufficient permissions."),
    404: ("RESOURCE_NOT_FOUND", "The specified resource does not exist."),
    409: (
        "RESOURCE_CONFLICT",
        "The server has detected a conflict while processing this request.",
    ),
    415: (
        "UNSUPPORTED_MEDIA_TYPE",
        "The server does not support the request payload's media type.",
    ),
    422: (
        "UNPROCESSABLE_ENTITY",
        "The requested action could not be performed, semantically incorrect, or failed business "
        "validation.",
    ),
    429: ("RATE_LIMIT_REACHED", "Too many requests. Blocked due to rate limiting."),
    500: ("INTERNAL_SERVER_ERROR", "An internal server error occurred."),
    503: ("SERVICE_UNAVAILABLE", "Service Unavailable."),
}

# Rejections of a request as such.
_REQUEST_ISSUES = {
    "INVALID_ARRAY_MAX_ITEMS": "The number of items in an array parameter is too large.",
    "INVALID_ARRAY_MIN_ITEMS": "The number of items in an array parameter is too small.",
    "INVALID_PARAMETER_SYNTAX": "The value of a field does not conform to the expected format.",
    "INVALID_PARAMETER_VALUE": "A parameter value is not valid.",
    "INVALID_STRING_LENGTH": "The value of a field is either too short or too long",
    "MALFORMED_REQUEST_JSON": "The request JSON is not well formed.",
    "MISSING_REQUIRED_PARAMETER": "A required parameter is missing.",
    "NOT_SUPPORTED": "This field is not currently supported.",
    "PAYPAL_REQUEST_ID_REQUIRED": (
        "A PayPal-Request-Id is required if you are trying to process payment for an Order. "
        "Please specify a PayPal-Request-Id or Create the Order without a 'payment_source' "
        "specified."
    ),
    "PERMISSION_DENIED": (
        "You do not have permission to access or perform operations on this resource."
    ),
    "INVALID_RESOURCE_ID": (
        "Specified resource ID does not exist. Please check the resource ID and try again."
    ),
    "CANNOT_BE_ZERO_OR_NEGATIVE": (
        "Must be greater than zero. If the currency supports decimals, only two decimal place "
        "precision is supported."
    ),
    "DECIMAL_PRECISION": (
        "If the currency supports decimals, only two decimal place precision is supported."
    ),
    "INVALID_CURRENCY_CODE": (
        "Currency code is invalid or is not currently supported. Please refer "
        "https://developer.paypal.com/api/rest/reference/currency-codes/ for list of supported "
        "currency codes."
    ),
    "MAX_VALUE_EXCEEDED": "Should be less than or equal to 999999999999999.99.",
}

# Rejections of a capture; a shopper's approval can be planned to end with one.
CAPTURE_ISSUES = {
    "ORDER_NOT_APPROVED": (
        "Payer has not yet approved the Order for payment. Please redirect the payer to the "
        "'rel':'approve' url returned as part of the HATEOAS links within the Create Order call "
        "or provide a valid `payment_source` in the request."
    ),
    "PAYER_ACTION_REQUIRED": (
        "Transaction cannot complete successfully, instruct the buyer to return to PayPal."
    ),
    "INSTRUMENT_DECLINED": (
        "The instrument presented  was either declined by the processor or bank, or it can't be "
        "used for this payment."
    ),
    "REDIRECT_PAYER_FOR_ALTERNATE_FUNDING": (
        "Transaction failed. Redirect the payer to select another funding source."
    ),
    "ORDER_ALREADY_CAPTURED": (
        "Order already captured.If 'intent=CAPTURE' only one capture per order is allowed."
    ),
    "ORDER_COMPLETION_IN_PROGRESS": (
        "The order was created with processing_instruction of "
        "ORDER_COMPLETE_ON_PAYMENT_APPROVAL. The customer has approved the payment and PayPal is "
        "still in the process of capturing the order on your behalf as instructed. Please try "
        "your request again."
    ),
    "DUPLICATE_INVOICE_ID": (
        "Duplicate Invoice ID detected. To avoid a potential duplicate transaction your account "
        "setting requires that Invoice Id be unique for each transaction."
    ),
    "COMPLIANCE_VIOLATION": "Transaction is declined due to compliance violation.",
    "DOMESTIC_TRANSACTION_REQUIRED": (
        "This transaction requires the payee and payer to be resident in the same country, a "
        "domestic transaction is required to create this payment."
    ),
    "MAX_NUMBER_OF_PAYMENT_ATTEMPTS_EXCEEDED": (
        "You have exceeded the maximum number of payment attempts."
    ),
    "PAYEE_BLOCKED_TRANSACTION": (
        "The Fraud settings for this seller are such that this payment cannot be executed."
    ),
    "PAYER_ACCOUNT_LOCKED_OR_CLOSED": "The payer account cannot be used for this transaction.",
    "PAYER_ACCOUNT_RESTRICTED": "PAYER_ACCOUNT_RESTRICTED",
    "PAYER_CANNOT_PAY": (
        "Payer cannot pay for this transaction. Please contact the payer to find other ways to pay "
        "for this transaction."
    ),
    "TRANSACTION_BLOCKED_BY_PAYEE": (
        "Transaction blocked by Payee\N{RIGHT SINGLE QUOTATION MARK}s Fraud Protection settings."
    ),
    "TRANSACTION_LIMIT_EXCEEDED": "Total payment amount exceeded transaction limit.",
    "TRANSACTION_REFUSED": "The request was refused.",
    "NOT_ENABLED_FOR_CARD_PROCESSING": (
        "The API Caller account is not setup to be able to process card payments. Please contact "
        "PayPal customer support."
    ),
    "AUTH_CAPTURE_NOT_ENABLED": (
        "Authorization and Capture feature is not enabled for the merchant. Make sure that the "
        "recipient of the funds is a verified business account."
    ),
    "DECLINED_DUE_TO_RELATED_TXN": (
        "One or more transactions in this Order did not succeed. Since this Order is being "
        "processed as an All or None Order, if one or more transactions in this Order do not "
        "succeed, then all purchase units are marked declined and will not be processed."
    ),
}

# Rejections of a refund, of PayPal's description of Payments v2.
REFUND_ISSUES = {
    "CAPTURE_FULLY_REFUNDED": "The capture has already been fully refunded",
    "MAX_NUMBER_OF_REFUNDS_EXCEEDED": (
        "You have exceeded the maximum number of refund attempts for this capture."
    ),
    "PARTIAL_REFUND_NOT_ALLOWED": "You cannot do a refund less than the original capture amount.",
    "PENDING_CAPTURE": (
        "Cannot initiate a refund as the capture is pending. Capture is typically pending when the "
        "payer has funded the transaction using e-check/bank funded."
    ),
    "PAYEE_ACCOUNT_RESTRICTED": "Payee account is restricted.",
    "REFUND_AMOUNT_EXCEEDED": (
        "The refund amount must be less than or equal to the capture amount that has not yet been "
        "refunded."
    ),
    "REFUND_CAPTURE_CURRENCY_MISMATCH": "Refund must be in the same currency as the capture",
    "REFUND_FAILED_INSUFFICIENT_FUNDS": (
        "Capture could not be refunded due to insufficient funds. Please check to see if you have "
        "sufficient funds in your PayPal account or if the bank account linked to your PayPal "
        "account is verified and has sufficient funds."
    ),
    "REFUND_NOT_ALLOWED": "Capture cannot be refunded.",
    "REFUND_NOT_PERMITTED_DUE_TO_CHARGEBACK": (
        "Refunds are not allowed on this capture due to a chargeback on the card or bank. Please "
        "contact the payee to resolve the chargeback."
    ),
    "REFUND_TIME_LIMIT_EXCEEDED": "You are over the time limit to perform a refund on this capture",
    "TRANSACTION_DISPUTED": (
        "Partial refunds cannot be offered at this time because there is an open case on this "
        "transaction. Visit the PayPal Resolution Center to review this case."
    ),
}

_DESCRIPTIONS = _REQUEST_ISSUES | CAPTURE_ISSUES | REFUND_ISSUES


class Refusal(Exception):
    """PayPal rejects the request with a status, the issues, and the links."""

    def __init__(
        self, status: int, *issues: str, field: str | None = None, link: JsonObject | None = None
    ) -> None:
        super().__init__(f"{status} {', '.join(issues)}")
        self.status, self.issues, self.field, self.link = status, issues, field, link

    def response(self, debug_id: str, headers: dict[str, str] | None = None) -> Response:
        """Return the error in PayPal's format."""
        name, message = _NAMES[self.status]
        error: JsonObject = {"name": name, "message": message, "debug_id": debug_id}
        if self.status < 500:
            error["details"] = list(self._details())
        documented = "https://developer.paypal.com/docs/api/orders/v2/#error-"
        links = [{"href": documented + (*self.issues, name)[0], "rel": "information_link"}]
        error["links"] = links + ([self.link] if self.link else [])
        return as_json(self.status, error, headers)

    def _details(self) -> Iterator[JsonObject]:
        where = {"field": self.field, "location": "body"} if self.field else {}
        for issue in self.issues:
            yield {**where, "issue": issue, "description": _DESCRIPTIONS[issue]}


def parse_json(body: bytes) -> JsonObject:
    """Parse a request's body. Raises a Refusal unless it is a JSON object."""
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        raise Refusal(400, "MALFORMED_REQUEST_JSON") from None
    if not isinstance(found, dict):
        raise Refusal(400, "MALFORMED_REQUEST_JSON")
    return found


def as_json(status: int, value: JsonObject, headers: dict[str, str] | None = None) -> Response:
    """Return a response of PayPal's API."""
    return Response(status, {"Content-Type": "application/json", **(headers or {})}, encode(value))
