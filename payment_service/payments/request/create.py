"""Parse a request for a PaymentIntent: JSON in, a validated and normalised value out."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeVar

from msgspec import Struct
from msgspec.structs import asdict

from payment_service.payments.request.accepted_gateways import accepted_gateways
from payment_service.payments.request.currencies import MAX_AMOUNT, MIN_AMOUNT, currency_code
from payment_service.payments.request.metadata import check_room, checked_metadata
from payment_service.payments.request.method_options import checked_options
from payment_service.payments.request.method_types import checked_types
from payment_service.payments.request.problems import bad_request
from payment_service.payments.request.text import descriptor_suffix, email, free_text
from payment_service.schema.fields import Faults, fill, rule
from payment_service.schema.names import order_name

Fields = TypeVar("Fields", bound=Struct)

OrderName = Annotated[str, rule(first=order_name)]
Amount = Annotated[
    int, rule(f"must be an integer from {MIN_AMOUNT} to {MAX_AMOUNT}", ge=MIN_AMOUNT, le=MAX_AMOUNT)
]
AmountOfCurrency = Annotated[
    int,
    rule(
        f"must be an integer from {MIN_AMOUNT} to {MAX_AMOUNT}, "
        "in the smallest unit of the currency",
        ge=MIN_AMOUNT,
        le=MAX_AMOUNT,
    ),
]
Currency = Annotated[
    str, rule("must be the three letters of a currency, like usd", then=currency_code)
]
MethodTypes = Annotated[
    list[str], rule('must be a list of Stripe\'s types, like ["card"]', then=checked_types)
]
MethodOptions = Annotated[
    dict[str, Any], rule("must be an object of types to their options", then=checked_options)
]
AcceptedGateways = Annotated[
    tuple[str, ...],
    rule(
        'must be a list of the gateways that the page can handle, like ["stripe", "paypal"]',
        then=accepted_gateways,
    ),
]
Metadata = Annotated[
    dict[str, str],
    rule("must be an object of names to texts; put numbers in quotes", then=checked_metadata),
]
Description = Annotated[
    str,
    rule("must be text of 1 to 1000 characters", then=free_text, min_length=1, max_length=1000),
]
Email = Annotated[
    str, rule("must be an e-mail address of at most 512 characters", then=email, max_length=512)
]
Customer = Annotated[
    str,
    rule(
        "must be the id of a Customer, like cus_NffrFeUfNV2Hib", pattern="cus_[A-Za-z0-9_]{1,250}"
    ),
]
CaptureMethod = Annotated[
    Literal["automatic", "automatic_async", "manual"],
    rule("must be automatic, automatic_async or manual"),
]
FutureUsage = Annotated[
    Literal["on_session", "off_session"], rule("must be on_session or off_session")
]
DescriptorSuffix = Annotated[
    str,
    rule("must be text of 1 to 22 characters", then=descriptor_suffix, min_length=1, max_length=22),
]

_to_json = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode


class OrderFields(Struct, frozen=True, kw_only=True):
    """The fields of both creations and updates, normalised: equivalent requests are equal.

    The text of each rule is the error message for a field that breaks it.
    """

    amount: AmountOfCurrency
    order_id: OrderName
    client_id: OrderName | None = None
    payment_method_types: MethodTypes | None = None
    payment_method_options: MethodOptions | None = None
    metadata: Metadata | None = None
    description: Description | None = None
    receipt_email: Email | None = None
    customer: Customer | None = None
    capture_method: CaptureMethod | None = None
    setup_future_usage: FutureUsage | None = None
    statement_descriptor_suffix: DescriptorSuffix | None = None

    def __post_init__(self) -> None:
        """Check that the metadata has room for the order's own names. Raises ValueError."""
        check_room(self.metadata, 1 if self.client_id is None else 2)

    def canonical(self) -> str:
        """Return the request as one JSON text.

        Names are sorted, defaults included, absent and empty fields omitted, so the text stays the
        same across a deploy that adds an optional field.
        """
        return _canonical(self)

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the canonical request, hexadecimal."""
        return hashlib.sha256(self.canonical().encode()).hexdigest()


class PaymentRequest(OrderFields, frozen=True, kw_only=True):
    """A client's request to create an order's PaymentIntent."""

    currency: Currency = "usd"
    accept_gateways: AcceptedGateways | None = None
    """The gateways whose answers the caller's page can handle; None means only Stripe.

    It says something about the page, not about the order, so it is not part of the fingerprint.
    """

    def canonical(self) -> str:
        """Return the request as one JSON text, without `accept_gateways`; see OrderFields."""
        return _canonical(self, but="accept_gateways")


def _canonical(request: OrderFields, but: str | None = None) -> str:
    given = asdict(request).items()
    return _to_json({name: it for name, it in given if it not in (None, {}) and name != but})


def check_request(given: Mapping[str, Any], kind: type[Fields]) -> Fields:
    """Parse and validate a JSON object as a request of the given kind.

    Null counts as absent, because client libraries often send it. Raises BadRequest:
    missing_parameter or invalid_parameter.
    """
    said = {name: value for name, value in given.items() if value is not None}
    try:
        return fill(kind, said)
    except Faults as wrong:
        raise bad_request(wrong.found) from None
