"""Access of a caller: to all orders, to one client's orders, or to the order of a token.

An operator's access is of its own kind: its key works on the operator's routes and on no others.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from msgspec import Struct, field

from payment_service.errors import Forbidden, Unauthorized
from payment_service.payments.request.create import Fields, PaymentRequest, check_request
from payment_service.schema.fields import names_of

if TYPE_CHECKING:
    from payment_service.access.clients import Client, Clients
    from payment_service.access.operators import Operator

# Fields that a browser may add to the token's order: it could send the same to Stripe when it
# confirms the payment. The shop must sign all others: its accounting and customers depend on them.
BROWSER_FIELDS = frozenset(
    {
        "payment_method_types",
        "payment_method_options",
        "receipt_email",
        "setup_future_usage",
        "accept_gateways",  # what the page can handle
        "refresh",  # of a status
    }
)


class Access(Struct, frozen=True):
    """The caller. `signed` holds the request fields that the caller cannot choose."""

    kind: Literal["open", "token", "api_key", "operator"]
    client: Client | None = None
    signed: Mapping[str, Any] = field(default_factory=dict)
    operator: Operator | None = None

    @property
    def client_id(self) -> str | None:
        """The client whose orders the caller may use; None for all orders."""
        return self.client.id if self.client else None

    def check(self, given: Mapping[str, Any], kind: type[Fields]) -> Fields:
        """Check a request of any kind; signed fields take precedence.

        The request may omit a signed field or repeat it in any equivalent spelling. Raises
        BadRequest; Forbidden if it contradicts a signed field or has a field that must be signed.
        """
        signed = {name: value for name, value in self.signed.items() if name in names_of(kind)}
        checked = check_request({**given, **signed}, kind)
        repeated = {name: given[name] for name in signed if given.get(name) is not None}
        if repeated and check_request({**given, **signed, **repeated}, kind) != checked:
            raise self._forbidden(
                "The request differs from its token, or is another client's order"
            )
        for name in given:
            if given[name] is not None and not self._may_send(name):
                raise self._forbidden(f"{name}: must be in the token")
        client_id = getattr(checked, "client_id", None)
        if self.operator is not None and not self.operator.may_see(client_id):
            raise Forbidden("This operator may see only the orders of its own clients: name one")
        return checked

    def forbid_tokens(self) -> None:
        """Raise Forbidden for a browser: with an old token it could restore an old price."""
        if self.kind == "token":
            raise Forbidden(
                "This needs an API key: call it from the shop's server, not from a browser"
            )

    def _may_send(self, name: str) -> bool:
        return self.kind != "token" or name in self.signed or name in BROWSER_FIELDS

    def _forbidden(self, message: str) -> Forbidden:
        return Forbidden(message, code="token_mismatch" if self.kind == "token" else None)


OPEN_ACCESS = Access("open")


def authenticate(authorization: str | None, clients: Clients | None, now: float) -> Access:
    """Return the access that the Authorization header grants; without clients, access is open.

    A token contains dots, an API key none. Raises Unauthorized.
    """
    if clients is None:
        return OPEN_ACCESS
    credential = _bearer(authorization)
    if not credential:
        raise Unauthorized(
            "This service has a clients file. Send `Authorization: Bearer` with an order's token "
            "or a client's API key: docs/clients.md says how to get them"
        )
    if "." in credential:
        from payment_service.access.tokens import verified_claims

        client, claims = verified_claims(credential, clients, now)
        signed = {name: claims[name] for name in names_of(PaymentRequest) if name in claims}
        return Access("token", client, signed)
    of_key = clients.by_api_key(credential)
    if of_key is None:
        raise Unauthorized("The API key belongs to no client of this service")
    return Access("api_key", of_key, {"client_id": of_key.id})


def authenticate_operator(authorization: str | None, clients: Clients | None) -> Access:
    """Return the access of the operator whose key the Authorization header has.

    Raises Unauthorized, also for a client's key.
    """
    credential = _bearer(authorization)
    operator = clients.operator_by_api_key(credential) if clients and credential else None
    if operator is None:
        raise Unauthorized("The key belongs to no operator of this service")
    return Access("operator", operator=operator)


def _bearer(authorization: str | None) -> str:
    """Return the credential of the header; empty if it has none."""
    scheme, _, credential = (authorization or "").partition(" ")
    return credential.strip() if scheme.lower() == "bearer" else ""
