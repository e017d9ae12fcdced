"""What a caller may ask for: everybody's orders, one client's, or the one that a token names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from access.clients import Client, Clients
from access.errors import Forbidden, Unauthorized
from access.tokens import verified_claims
from payment.json_body import read_json_object
from payment.request import PaymentRequest, check_payment_request
from payment.text import order_name

# What a browser may add to the token's order: it could say the same to Stripe itself when it
# confirms. The rest is the shop's to say: its books and its customers hang on it.
BROWSERS_TO_SAY = frozenset(
    {"payment_method_types", "payment_method_options", "receipt_email", "setup_future_usage"}
)


@dataclass(frozen=True, slots=True)
class Access:
    """Who asks. `signed` holds the fields of a request that are not the caller's to choose."""

    kind: Literal["open", "token", "api_key"]
    client: Client | None = None
    signed: Mapping[str, Any] = field(default_factory=dict)

    @property
    def client_id(self) -> str | None:
        """Return whose orders the caller may ask for; None for everybody's."""
        return self.client.id if self.client else None

    def payment_request(self, body: bytes) -> PaymentRequest:
        """Read a request for a payment, with what is signed in place of what is not.

        The body may leave out what is signed, or repeat it in any spelling that means the same.
        Raises BadRequest; Forbidden, code token_mismatch, where it says something else.
        """
        given = read_json_object(body)
        asked = check_payment_request({**given, **self.signed})
        if self.kind == "open":
            return asked
        beyond = [name for name in given if not self._may_say(name) and given[name] is not None]
        if beyond:
            raise Forbidden(f"{beyond[0]}: must be in the token", code="token_mismatch")
        repeated = {name: given[name] for name in self.signed if given.get(name) is not None}
        if check_payment_request({**given, **self.signed, **repeated}) != asked:
            raise Forbidden("The request is not what was signed for", code="token_mismatch")
        return asked

    def owner_of(self, order_id: str, client_id: str | None) -> str | None:
        """Return the client_id under which this caller's order is kept.

        Raises Forbidden for another client's order, or another order than the token's.
        """
        if self.client is None:
            return client_id
        if client_id not in (None, self.client.id):
            raise Forbidden("This order is not this client's")
        if self.kind == "token" and order_name(self.signed["order_id"]) != order_id:
            raise Forbidden("The token is for another order", code="token_mismatch")
        return self.client.id

    def must_be_the_shop(self) -> None:
        """Raise Forbidden for a browser: with an old token it could bring an old price back."""
        if self.kind == "token":
            raise Forbidden("This takes an API key: call from the shop's server, not from a page")

    def _may_say(self, name: str) -> bool:
        return self.kind == "api_key" or name in self.signed or name in BROWSERS_TO_SAY


EVERYBODY = Access("open")


def admitted(authorization: str | None, clients: Clients | None, now: float) -> Access:
    """Return what the Authorization header gives access to; without clients, access is open.

    A token has two dots, an API key has none. Raises Unauthorized.
    """
    if clients is None:
        return EVERYBODY
    scheme, _, proof = (authorization or "").partition(" ")
    proof = proof.strip()
    if scheme.lower() != "bearer" or not proof:
        raise Unauthorized("Send Authorization: Bearer, with the order's token or an API key")
    if "." in proof:
        client, claims = verified_claims(proof, clients, now)
        signed = {name: claims[name] for name in PaymentRequest.model_fields if name in claims}
        return Access("token", client, signed)
    of_key = clients.of_api_key(proof)
    if of_key is None:
        raise Unauthorized("The API key is not one of a client of this service")
    return Access("api_key", of_key, {"client_id": of_key.id})
