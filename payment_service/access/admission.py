"""What a caller may ask for: everybody's orders, one client's, or the one that a token names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from payment_service.errors import Forbidden, Unauthorized
from payment_service.payments.request.create import Fields, PaymentRequest, check_request
from payment_service.schema.fields import names_of

if TYPE_CHECKING:
    from payment_service.access.clients import Client, Clients

# What a browser may add to the token's order: it could say the same to Stripe itself when it
# confirms. The rest is the shop's to say: its books and its customers hang on it.
BROWSERS_TO_SAY = frozenset(
    {
        "payment_method_types",
        "payment_method_options",
        "receipt_email",
        "setup_future_usage",
        "refresh",  # of a status
    }
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

    def checked(self, given: Mapping[str, Any], kind: type[Fields]) -> Fields:
        """Check a request of any kind, with what is signed in place of what is not.

        It may leave out what is signed, or repeat it in any spelling that means the same. Raises
        BadRequest; Forbidden where it says something else, or something that must be signed.
        """
        signed = {name: value for name, value in self.signed.items() if name in names_of(kind)}
        asked = check_request({**given, **signed}, kind)
        repeated = {name: given[name] for name in signed if given.get(name) is not None}
        if repeated and check_request({**given, **signed, **repeated}, kind) != asked:
            raise self._not_theirs("This is not what was signed for, or another client's order")
        for name in given:
            if given[name] is not None and not self._may_say(name):
                raise self._not_theirs(f"{name}: must be in the token")
        return asked

    def must_be_the_shop(self) -> None:
        """Raise Forbidden for a browser: with an old token it could bring an old price back."""
        if self.kind == "token":
            raise Forbidden("This takes an API key: call from the shop's server, not from a page")

    def _may_say(self, name: str) -> bool:
        return self.kind != "token" or name in self.signed or name in BROWSERS_TO_SAY

    def _not_theirs(self, message: str) -> Forbidden:
        return Forbidden(message, code="token_mismatch" if self.kind == "token" else None)


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
        from payment_service.access.tokens import verified_claims

        client, claims = verified_claims(proof, clients, now)
        signed = {name: claims[name] for name in names_of(PaymentRequest) if name in claims}
        return Access("token", client, signed)
    of_key = clients.of_api_key(proof)
    if of_key is None:
        raise Unauthorized("The API key is not one of a client of this service")
    return Access("api_key", of_key, {"client_id": of_key.id})
