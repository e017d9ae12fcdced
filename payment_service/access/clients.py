"""The clients file: each client's secrets and API keys, its Stripe account, and the operators."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from msgspec import Struct

from payment_service.access.api_keys import Digests, digest_of, holder_of
from payment_service.access.keys import MIN_SECRET_BYTES, TokenKey, public_key, shared_secret
from payment_service.access.operators import Operator, misfits
from payment_service.schema.fields import Fault, Faults, fill, rule
from payment_service.schema.names import order_name
from payment_service.schema.secret import Secret
from payment_service.settings.checks import listener_url, names, origin, shop_page
from payment_service.settings.credentials import (
    own_secrets,
    paypal_client_id,
    paypal_secret,
    paypal_webhook_ids,
    publishable_key,
    secret_key,
    token_secret,
    webhook_secrets,
)

# More clients need a database; each API key sent is compared with the key of every client.
MAX_CLIENTS = 10_000

# The client of the demo page, with the sandbox only.
DEMO = "kestrel-paper"

Entry = TypeVar("Entry", bound=Struct)


class ClientsFileError(Exception):
    """The clients file is invalid; the message is one line and holds no secret."""


def _token_secret(value: Secret) -> Secret:
    if len(value.get_secret_value().encode()) < MIN_SECRET_BYTES:
        raise ValueError(f"must have at least {MIN_SECRET_BYTES} bytes")
    return token_secret(value)


def _pem(value: str) -> str:
    public_key(value)
    return value


def _each(check: Callable[[Any], Any]) -> Callable[[list[Any]], list[Any]]:
    return lambda values: [check(value) for value in values]


_SecretKey = Annotated[Secret, rule("must be text", then=secret_key)]
_WebhookSecrets = Annotated[Secret, rule("must be text", then=webhook_secrets)]
_Secrets = Annotated[list[Secret], rule("must be a list of strings", then=_each(_token_secret))]
_PublicKeys = Annotated[list[str], rule("must be a list of strings", then=_each(_pem))]
_Origins = Annotated[list[str], rule("must be a list of strings", then=_each(origin))]
_Account = Annotated[
    str, rule("must be an account like acct_1032D82eZvKYlo2C", pattern="acct_[A-Za-z0-9_]{1,60}")
]
_PublishableKey = Annotated[str, rule("must be text", then=publishable_key)]
_PayPalClientId = Annotated[str, rule("must be text", then=paypal_client_id)]
_PayPalSecret = Annotated[Secret, rule("must be text", then=paypal_secret)]
_PayPalWebhookIds = Annotated[str, rule("must be text", then=paypal_webhook_ids)]
_ShopPage = Annotated[str, rule("must be text", then=shop_page)]
_ListenerUrl = Annotated[str, rule("must be text", then=listener_url)]
_ListenerSecrets = Annotated[Secret, rule("must be text", then=own_secrets)]
_PerMinute = Annotated[int, rule("must be an integer from 1 to 1000000", ge=1, le=1_000_000)]


class Client(Struct, frozen=True, kw_only=True, dict=True):
    """One shop. It can have two secrets or keys at a time, to roll them without a gap.

    A field's rule is the error message for a wrong value.
    """

    id: Annotated[str, rule("must be a name", then=order_name)]
    token_secrets: _Secrets = []
    token_public_keys: _PublicKeys = []
    api_keys_sha256: Digests = []
    stripe_account: _Account | None = None
    stripe_secret_key: _SecretKey | None = None
    stripe_publishable_key: _PublishableKey | None = None
    stripe_webhook_secret: _WebhookSecrets | None = None
    paypal_client_id: _PayPalClientId | None = None
    paypal_client_secret: _PayPalSecret | None = None
    paypal_webhook_id: _PayPalWebhookIds | None = None
    paypal_return_url: _ShopPage | None = None
    paypal_cancel_url: _ShopPage | None = None
    order_events_url: _ListenerUrl | None = None
    order_events_secret: _ListenerSecrets | None = None
    origins: _Origins = []
    requests_per_minute: _PerMinute | None = None

    def __post_init__(self) -> None:
        """Check the fields that depend on each other. Raises ValueError."""
        if not (self.token_secrets or self.token_public_keys or self.api_keys_sha256):
            raise ValueError("needs token_secrets, token_public_keys or api_keys_sha256")
        if (self.order_events_url is None) != (self.order_events_secret is None):
            raise ValueError("order_events_url and order_events_secret need each other")
        if (self.paypal_client_id is None) != (self.paypal_client_secret is None):
            raise ValueError("paypal_client_id and paypal_client_secret need each other")
        if self.paypal_webhook_id is not None and self.paypal_client_id is None:
            raise ValueError("paypal_webhook_id needs paypal_client_id")

    @cached_property
    def token_keys(self) -> tuple[TokenKey, ...]:
        """The keys that verify this client's tokens."""
        secrets = (shared_secret(each.get_secret_value()) for each in self.token_secrets)
        return (*secrets, *(public_key(pem) for pem in self.token_public_keys))

    @property
    def has_own_stripe(self) -> bool:
        """Whether the client's payments go to another Stripe account than the service's."""
        return bool(self.stripe_secret_key or self.stripe_account)

    @property
    def uses_own_paypal(self) -> bool:
        """Whether the client's payments go to another PayPal account than the service's."""
        return self.paypal_client_id is not None

    @property
    def mode(self) -> Literal["test", "live"] | None:
        """The mode of the client's Stripe key; None if the client uses the service's key."""
        if self.stripe_secret_key is None:
            return None
        return "live" if "_live_" in self.stripe_secret_key.get_secret_value()[:8] else "test"


class Clients:
    """All clients of this service, by id, and its operators."""

    def __init__(
        self, clients: Mapping[str, Client], operators: Mapping[str, Operator] | None = None
    ) -> None:
        self._clients, self.operators = dict(clients), dict(operators or {})

    def __iter__(self) -> Iterator[Client]:
        return iter(self._clients.values())

    def get(self, client_id: str) -> Client | None:
        """Return the client with this id."""
        return self._clients.get(client_id)

    def by_api_key(self, key: str) -> Client | None:
        """Return the client with this API key."""
        return holder_of(key, self)

    def operator_by_api_key(self, key: str) -> Operator | None:
        """Return the operator with this API key."""
        return holder_of(key, self.operators.values())

    def with_demo(self, api_key: str) -> Clients:
        """Return these clients and the demo page's own, which has this API key."""
        demo = Client(id=DEMO, api_keys_sha256=[digest_of(api_key)])
        return Clients({DEMO: demo, **self._clients}, self.operators)

    @property
    def origins(self) -> list[str]:
        """Every origin from which a client's pages may send requests."""
        return sorted({each for client in self for each in client.origins})


def load_clients(path: Path, *, livemode: bool) -> Clients:
    """Read the clients file: TOML, with one table `clients.ID` per client.

    A table `operators.ID` adds an operator. The Stripe keys must have the service's mode. Raises
    ClientsFileError, which names every wrong entry and never shows a value.
    """
    tables = _tables(path)
    clients, wrong = _filled(Client, tables["clients"])
    operators, more = _filled(Operator, tables.get("operators", {}))
    wrong += [*more, *misfits(operators, tables["clients"])]
    wrong += _shared_keys(clients, operators) + _shared_event_secrets(clients)
    wrong += _other_mode(clients, livemode=livemode)
    if wrong:
        raise ClientsFileError("CLIENTS_FILE: " + "; ".join(map(_printable, wrong)))
    return Clients(clients, operators)


def _filled(
    kind: type[Entry], tables: Mapping[str, dict[str, Any]]
) -> tuple[dict[str, Entry], list[str]]:
    """Return the valid entries by id, and the error messages of all others."""
    found, wrong = {}, []
    for name, table in tables.items():
        if "id" in table:
            wrong.append(f"{name}: {_problem(Fault('unknown', 'id'))}")
        try:
            found[name] = fill(kind, {**table, "id": name})
        except Faults as faults:
            wrong += [f"{name}: {_problem(each)}" for each in faults.found]
    return found, wrong


def _tables(path: Path) -> dict[str, dict[str, dict[str, Any]]]:
    try:
        given = tomllib.loads(path.read_text("utf-8"))
    except OSError as wrong:
        raise ClientsFileError(f"CLIENTS_FILE: cannot be read: {wrong.strerror}") from wrong
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as wrong:
        # Keep only the position: the message may quote a line with a secret.
        place = re.search(r"\(at [a-z0-9, ]+\)", str(wrong))
        raise ClientsFileError(
            f"CLIENTS_FILE: is not TOML in UTF-8 {place[0] if place else ''}".rstrip()
        ) from None
    if not given.get("clients") or not set(given) <= {"clients", "operators"}:
        raise ClientsFileError(
            "CLIENTS_FILE: must hold tables [clients.NAME], may hold tables [operators.NAME], and "
            "nothing else"
        )
    for tables in given.values():
        if not (
            isinstance(tables, dict) and all(isinstance(each, dict) for each in tables.values())
        ):
            raise ClientsFileError(
                "CLIENTS_FILE: needs a table for each name, as in [clients.shop-a]"
            )
        if len(tables) > MAX_CLIENTS:
            raise ClientsFileError(f"CLIENTS_FILE: must hold at most {MAX_CLIENTS} tables")
    return given


def _problem(fault: Fault) -> str:
    if fault.kind == "unknown":
        return f"{fault.name} is not a known entry"
    if fault.kind == "missing":
        return f"{fault.name} is missing"
    return f"{fault.name} {fault.rule}" if fault.name else fault.rule


def _shared_keys(clients: Mapping[str, Client], operators: Mapping[str, Operator]) -> list[str]:
    """Report secrets and keys that two entries share: one caller could impersonate the other."""
    entries: list[Client | Operator] = [*clients.values(), *operators.values()]
    owners: dict[str, Client | Operator] = {}
    return [
        f"{each.id}: shares a secret or an API key with {owners[credential].id}"
        for each in entries
        for credential in _credentials(each)
        if owners.setdefault(credential, each) is not each
    ]


def _shared_event_secrets(clients: Mapping[str, Client]) -> list[str]:
    """Report secrets of order events that two receivers share: one could sign for the other."""
    owners: dict[str, Client] = {}
    return [
        f"{client.id}: shares an order_events_secret with {owners[secret].id}, which has another "
        "order_events_url"
        for client in clients.values()
        if client.order_events_secret
        for secret in names(client.order_events_secret.get_secret_value())
        if owners.setdefault(secret, client).order_events_url != client.order_events_url
    ]


def _credentials(each: Client | Operator) -> list[str]:
    if isinstance(each, Operator):
        return each.api_keys_sha256
    secrets = (secret.get_secret_value() for secret in each.token_secrets)
    return [*each.api_keys_sha256, *secrets, *each.token_public_keys]


def _other_mode(clients: Mapping[str, Client], *, livemode: bool) -> list[str]:
    other = "test" if livemode else "live"
    return [
        f"{client.id}: stripe_secret_key and STRIPE_SECRET_KEY must both be test or both be live"
        for client in clients.values()
        if client.mode == other
    ]


def _printable(text: str) -> str:
    return "".join(each if each.isprintable() else "?" for each in text)
