"""The requirements of a confirmation: client_secret, payment method, return URL."""

from __future__ import annotations

from sandbox import lifecycle
from sandbox.answers import JsonObject, refusal
from sandbox.currencies import check_amount
from sandbox.form import Form
from sandbox.lifecycle import Attempt
from sandbox.moment import Moment
from sandbox.payment_methods import TEST_METHODS, PaymentMethod, from_data

Method = tuple[str, PaymentMethod]


def check_client_secret(intent: JsonObject, params: Form) -> None:
    if "client_secret" not in params:
        message = "Missing required param: client_secret."
        raise refusal(message, code="parameter_missing", param="client_secret")
    if params["client_secret"] != intent["client_secret"]:
        message = (
            "The client_secret provided does not match the client_secret associated with the "
            "PaymentIntent."
        )
        raise refusal(message, param="client_secret")


def requested_method(moment: Moment, params: Form) -> Method | None:
    if params.get("payment_method_data"):
        method = from_data(params["payment_method_data"])
        method_id = moment.ids.new("pm_1")
        moment.ledger.methods[method_id] = method
        return method_id, method
    return _known_method(moment, params.get("payment_method"))


def attached_method(moment: Moment, intent: JsonObject) -> Method | None:
    return _known_method(moment, intent["payment_method"])


def _known_method(moment: Moment, method_id: str | None) -> Method | None:
    if not method_id:
        return None
    method = TEST_METHODS.get(method_id) or moment.ledger.methods.get(method_id)
    if method is None:
        message = f"No such PaymentMethod: '{method_id}'"
        raise refusal(message, code="resource_missing", param="payment_method")
    return method_id, method


def attempt(moment: Moment, intent: JsonObject, method: Method | None, params: Form) -> JsonObject:
    """Attempt the payment, after the checks of `checked_method`."""
    chosen = checked_method(intent, method, params)
    off_session = bool(params.get("off_session"))
    return lifecycle.confirm(
        moment, intent, Attempt(*chosen, params.get("return_url"), off_session)
    )


def checked_method(intent: JsonObject, method: Method | None, params: Form) -> Method:
    """Return the payment method, or raise a Refusal if it cannot be used."""
    if method is None:
        message = (
            "You cannot confirm this PaymentIntent because it's missing a payment method. You can "
            "either update the PaymentIntent with a payment method and then confirm it again, or "
            "confirm it again directly with a payment method."
        )
        raise refusal(message, code="payment_intent_unexpected_state", payment_intent=intent)
    _check_method_type(intent, method[1])
    check_amount(intent["amount"], intent["currency"], [method[1].type])
    _check_return_url(intent, params)
    return method


def _check_method_type(intent: JsonObject, method: PaymentMethod) -> None:
    if method.type not in intent["payment_method_types"]:
        message = (
            f"The PaymentMethod provided ({method.type}) is not allowed for this PaymentIntent. "
            "Please attach a PaymentMethod of one of the following types: "
            f"{', '.join(intent['payment_method_types'])}."
        )
        raise refusal(message, code="payment_intent_invalid_parameter", param="payment_method")


def _check_return_url(intent: JsonObject, params: Form) -> None:
    automatic = intent["automatic_payment_methods"]
    redirects = automatic and automatic["allow_redirects"] == "always"
    if redirects and not (params.get("return_url") or params.get("off_session")):
        raise refusal(
            "This PaymentIntent is configured to accept payment methods enabled in your "
            "Dashboard. Because some of these payment methods might redirect your customer off of "
            "your page, you must provide a `return_url`. If you don't want to accept "
            "redirect-based payment methods, set `automatic_payment_methods[enabled]` to `true` "
            "and `automatic_payment_methods[allow_redirects]` to `never` when creating Setup "
            "Intents and Payment Intents."
        )
