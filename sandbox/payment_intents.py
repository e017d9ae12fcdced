"""The PaymentIntent endpoints: what each does once it executes."""

from __future__ import annotations

from sandbox import lifecycle
from sandbox.answers import JsonObject, refusal
from sandbox.currencies import check_amount, check_minimum
from sandbox.form import Form
from sandbox.lifecycle import Attempt
from sandbox.moment import Moment
from sandbox.payment_intent_parameters import check_types
from sandbox.payment_method_types import TURNED_ON, compatible
from sandbox.payment_methods import TEST_METHODS, PaymentMethod, from_data

_ALWAYS_UPDATABLE = frozenset({"metadata", "description", "expand"})

# Copied as they are sent: from the parameters of create and update into the object.
_PLAIN = (
    "application_fee_amount",
    "customer",
    "customer_account",
    "description",
    "on_behalf_of",
    "receipt_email",
    "setup_future_usage",
    "shipping",
    "statement_descriptor",
    "statement_descriptor_suffix",
    "transfer_data",
    "transfer_group",
)


def create(moment: Moment, _: str, params: Form) -> JsonObject:
    """POST /v1/payment_intents."""
    check_minimum(params["amount"], params["currency"])
    _check_customer(params)
    intent = _new(moment, params)
    method = _asked_method(moment, params)
    if method:
        intent |= {"payment_method": method[0], "status": "requires_confirmation"}
    if params.get("confirm"):
        _check_confirmable(intent, method, params)
    moment.ledger.add(intent, moment.now)
    moment.publish("payment_intent.created", intent, moment.now)
    return _attempt(moment, intent, method, params) if params.get("confirm") else intent


def retrieve(moment: Moment, intent_id: str, params: Form) -> JsonObject:
    """GET /v1/payment_intents/:id."""
    intent = moment.ledger.get(intent_id)
    if moment.caller.publishable:
        _check_client_secret(intent, params)
    return intent


def update(moment: Moment, intent_id: str, params: Form) -> JsonObject:
    """POST /v1/payment_intents/:id."""
    intent = moment.ledger.get(intent_id)
    if not params.keys() <= _ALWAYS_UPDATABLE:
        lifecycle.require_status(intent, "update", "updated", lifecycle.OPEN)
    wanted = {**intent, **params}
    check_amount(wanted["amount"], wanted["currency"])
    check_minimum(wanted["amount"], wanted["currency"])
    check_types(params, wanted["currency"])
    _check_customer(params)
    changes = {name: params[name] for name in _PLAIN if name in params}
    for name in ("amount", "currency", "capture_method"):
        if name in params:
            changes[name] = params[name]
    if "metadata" in params:
        changes["metadata"] = _merged(intent["metadata"], params["metadata"])
    method = _asked_method(moment, params)
    if method:
        changes |= {"payment_method": method[0], "status": "requires_confirmation"}
    return moment.change(intent, **changes)


def confirm(moment: Moment, intent_id: str, params: Form) -> JsonObject:
    """POST /v1/payment_intents/:id/confirm."""
    intent = moment.ledger.get(intent_id)
    if moment.caller.publishable:
        _check_client_secret(intent, params)
    lifecycle.require_status(intent, "confirm", "confirmed", lifecycle.OPEN)
    method = _asked_method(moment, params) or _attached_method(moment, intent)
    _check_confirmable(intent, method, params)
    return _attempt(moment, intent, method, params)


def cancel(moment: Moment, intent_id: str, params: Form) -> JsonObject:
    """POST /v1/payment_intents/:id/cancel."""
    intent = moment.ledger.get(intent_id)
    lifecycle.require_status(intent, "cancel", "canceled", lifecycle.CANCELABLE)
    return lifecycle.cancel(moment, intent, params.get("cancellation_reason"))


def capture(moment: Moment, intent_id: str, params: Form) -> JsonObject:
    """POST /v1/payment_intents/:id/capture."""
    intent = moment.ledger.get(intent_id)
    lifecycle.require_status(intent, "capture", "captured", ("requires_capture",))
    amount: int = {"amount_to_capture": intent["amount_capturable"], **params}["amount_to_capture"]
    if not 0 < amount <= intent["amount_capturable"]:
        message = "The amount to capture must be positive and at most the amount_capturable."
        raise refusal(message, code="amount_too_large", param="amount_to_capture")
    return lifecycle.capture(moment, intent, amount)


def _new(moment: Moment, params: Form) -> JsonObject:
    intent_id = moment.ids.new("pi_3")
    automatic = _automatic(params)
    return {
        "id": intent_id,
        "object": "payment_intent",
        "allowed_payment_method_types": params.get("allowed_payment_method_types"),
        "amount": params["amount"],
        "amount_capturable": 0,
        "amount_details": {"tip": {}},
        "amount_received": 0,
        "application": None,
        "automatic_payment_methods": automatic,
        "canceled_at": None,
        "cancellation_reason": None,
        "capture_method": params.get("capture_method", "automatic_async"),
        "client_secret": moment.ids.new(f"{intent_id}_secret_", 25),
        "confirmation_method": params.get("confirmation_method", "automatic"),
        "created": int(moment.now),
        "currency": params["currency"],
        "excluded_payment_method_types": params.get("excluded_payment_method_types"),
        "last_payment_error": None,
        "latest_charge": None,
        "livemode": moment.caller.account.livemode,
        "metadata": _merged({}, params.get("metadata", {})),
        "next_action": None,
        "payment_method": None,
        "payment_method_configuration_details": None,
        "payment_method_options": params.get("payment_method_options", {}),
        "payment_method_types": _types(params),
        "processing": None,
        "review": None,
        "source": None,
        "status": "requires_payment_method",
        **{name: params.get(name) for name in _PLAIN},
    }


def _automatic(params: Form) -> JsonObject | None:
    chosen = "payment_method_types" in params or "allowed_payment_method_types" in params
    given = params.get("automatic_payment_methods", {"enabled": not chosen})
    return {"allow_redirects": "always", **given} if given["enabled"] else None


def _types(params: Form) -> list[str]:
    if "payment_method_types" in params:
        return list(params["payment_method_types"])
    excluded = params.get("excluded_payment_method_types", ())
    asked = params.get("allowed_payment_method_types") or TURNED_ON
    return [kind for kind in compatible(asked, params["currency"]) if kind not in excluded]


def _merged(old: JsonObject, new: JsonObject) -> JsonObject:
    """An empty value removes a name; no names at all remove every one."""
    return {k: v for k, v in {**old, **new}.items() if v} if new else {}


def _check_customer(params: Form) -> None:
    customer = params.get("customer")
    if customer and (not customer.startswith("cus_") or "missing" in customer):
        message = f"No such customer: '{customer}'"
        raise refusal(message, code="resource_missing", param="customer")


def _check_client_secret(intent: JsonObject, params: Form) -> None:
    if "client_secret" not in params:
        message = "Missing required param: client_secret."
        raise refusal(message, code="parameter_missing", param="client_secret")
    if params["client_secret"] != intent["client_secret"]:
        message = (
            "The client_secret provided does not match the client_secret associated with the "
            "PaymentIntent."
        )
        raise refusal(message, param="client_secret")


def _asked_method(moment: Moment, params: Form) -> tuple[str, PaymentMethod] | None:
    if params.get("payment_method_data"):
        method = from_data(params["payment_method_data"])
        method_id = moment.ids.new("pm_1")
        moment.ledger.methods[method_id] = method
        return method_id, method
    return _known_method(moment, params.get("payment_method"))


def _attached_method(moment: Moment, intent: JsonObject) -> tuple[str, PaymentMethod] | None:
    return _known_method(moment, intent["payment_method"])


def _known_method(moment: Moment, method_id: str | None) -> tuple[str, PaymentMethod] | None:
    if not method_id:
        return None
    method = TEST_METHODS.get(method_id) or moment.ledger.methods.get(method_id)
    if method is None:
        message = f"No such PaymentMethod: '{method_id}'"
        raise refusal(message, code="resource_missing", param="payment_method")
    return method_id, method


def _check_confirmable(
    intent: JsonObject, method: tuple[str, PaymentMethod] | None, params: Form
) -> None:
    if method is None:
        message = (
            "You cannot confirm this PaymentIntent because it's missing a payment method. You can "
            "either update the PaymentIntent with a payment method and then confirm it again, or "
            "confirm it again directly with a payment method."
        )
        raise refusal(message, code="payment_intent_unexpected_state", payment_intent=intent)
    _check_method_type(intent, method[1])
    _check_return_url(intent, params)


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


def _attempt(
    moment: Moment, intent: JsonObject, method: tuple[str, PaymentMethod] | None, params: Form
) -> JsonObject:
    assert method is not None  # noqa: S101 - _check_confirmable has refused it
    attempt = Attempt(*method, params.get("return_url"), bool(params.get("off_session")))
    return lifecycle.confirm(moment, intent, attempt)
