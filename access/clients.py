"""The clients file: who may ask, what proves it, and whose Stripe account takes their money."""

from __future__ import annotations

import hashlib
import hmac
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    PrivateAttr,
    SecretStr,
    ValidationError,
    model_validator,
)

from access.keys import MIN_SECRET_BYTES, TokenKey, public_key, shared_secret
from payment.text import order_name
from setting_checks import ORIGIN

# More would be a data base's work, and every API key is compared with every other.
MAX_CLIENTS = 10_000

_SHA256 = re.compile("[0-9a-f]{64}")


class ClientsFileError(Exception):
    """The file does not say who the clients are; the message is one line and holds no secret."""


def origin(value: str) -> str:
    """Return a web origin as browsers send it; raises ValueError."""
    if not re.fullmatch(ORIGIN, value):
        raise ValueError("must be an origin like https://shop.example, in lower case, no path")
    return value


def _digest(value: str) -> str:
    if not _SHA256.fullmatch(value):
        raise ValueError("must be the SHA-256 of a key: 64 hexadecimal digits")
    return value


def _secret(value: SecretStr) -> SecretStr:
    if len(value.get_secret_value().encode()) < MIN_SECRET_BYTES:
        raise ValueError(f"must have at least {MIN_SECRET_BYTES} bytes")
    return value


def _pem(value: str) -> str:
    public_key(value)
    return value


class Client(BaseModel):
    """One shop. Two secrets or keys at a time let the shop roll them without a gap.

    Each description is what a person is told when the entry is wrong.
    """

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", hide_input_in_errors=True)

    id: str
    token_secrets: list[Annotated[SecretStr, AfterValidator(_secret)]] = []
    token_public_keys: list[Annotated[str, AfterValidator(_pem)]] = []
    api_keys_sha256: list[Annotated[str, AfterValidator(_digest)]] = []
    stripe_account: str | None = Field(
        None,
        pattern=r"^acct_\w{1,60}$",
        description="must be an account like acct_1032D82eZvKYlo2C",
    )
    stripe_secret_key: SecretStr | None = None
    stripe_publishable_key: str | None = Field(
        None, pattern=r"^pk_(test|live)_\w+$", description="must begin with pk_test_ or pk_live_"
    )
    stripe_webhook_secret: SecretStr | None = None
    origins: list[Annotated[str, AfterValidator(origin)]] = []
    requests_per_minute: int | None = Field(
        None, ge=1, le=1_000_000, description="must be an integer from 1 to 1000000"
    )

    _token_keys: tuple[TokenKey, ...] = PrivateAttr(default=())

    @model_validator(mode="after")
    def _can_prove_itself(self) -> Self:
        order_name(self.id)
        if not (self.token_secrets or self.token_public_keys or self.api_keys_sha256):
            raise ValueError("needs token_secrets, token_public_keys or api_keys_sha256")
        key = self.stripe_secret_key
        if key is not None and not re.match("[rs]k_(test|live)_", key.get_secret_value()):
            raise ValueError("stripe_secret_key must begin with sk_ or rk_, test_ or live_")
        secrets = (shared_secret(each.get_secret_value()) for each in self.token_secrets)
        self._token_keys = (*secrets, *(public_key(pem) for pem in self.token_public_keys))
        return self

    @property
    def token_keys(self) -> tuple[TokenKey, ...]:
        """What this client's tokens may be signed with."""
        return self._token_keys

    @property
    def mode(self) -> Literal["test", "live"] | None:
        """What money its own key moves; None where it has no key of its own."""
        if self.stripe_secret_key is None:
            return None
        return "live" if "_live_" in self.stripe_secret_key.get_secret_value()[:8] else "test"


class Clients:
    """All clients of this service, by id."""

    def __init__(self, clients: Mapping[str, Client]) -> None:
        self._clients = dict(clients)

    def __iter__(self) -> Iterator[Client]:
        return iter(self._clients.values())

    def get(self, client_id: str) -> Client | None:
        """Return the client with this id."""
        return self._clients.get(client_id)

    def of_api_key(self, key: str) -> Client | None:
        """Return whose key this is. Compares with every one, in constant time each."""
        digest = hashlib.sha256(key.encode()).hexdigest()
        found = None
        for client in self:
            for known in client.api_keys_sha256:
                if hmac.compare_digest(digest, known):
                    found = client
        return found

    @property
    def origins(self) -> list[str]:
        """Return every origin from which a client's pages may ask."""
        return sorted({each for client in self for each in client.origins})


def load_clients(path: Path, *, livemode: bool) -> Clients:
    """Read the clients file (TOML, a table `clients.ID` each).

    All its Stripe keys must be of the service's mode. Raises ClientsFileError, which names every
    wrong entry and never prints a value.
    """
    tables = _tables(path)
    clients, wrong = {}, []
    for client_id, table in tables.items():
        try:
            clients[client_id] = Client.model_validate({**table, "id": client_id})
        except ValidationError as error:
            wrong += [f"{client_id}: {_complaint(each)}" for each in error.errors()]
    wrong += _shared_keys(clients) + _other_mode(clients, livemode=livemode)
    if wrong:
        raise ClientsFileError("CLIENTS_FILE: " + "; ".join(map(_shown, wrong)))
    return Clients(clients)


def _tables(path: Path) -> dict[str, dict[str, Any]]:
    try:
        given = tomllib.loads(path.read_text("utf-8"))
    except OSError as wrong:
        raise ClientsFileError(f"CLIENTS_FILE: cannot be read: {wrong.strerror}") from wrong
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as wrong:
        # Only the place: the message may quote a line with a secret.
        place = re.search(r"\(at [a-z0-9, ]+\)", str(wrong))
        raise ClientsFileError(
            f"CLIENTS_FILE: is not TOML in UTF-8 {place[0] if place else ''}".rstrip()
        ) from None
    tables = given.get("clients")
    if set(given) != {"clients"} or not isinstance(tables, dict) or not tables:
        raise ClientsFileError("CLIENTS_FILE: must hold tables [clients.NAME] and nothing else")
    if len(tables) > MAX_CLIENTS or not all(isinstance(each, dict) for each in tables.values()):
        raise ClientsFileError(f"CLIENTS_FILE: must hold at most {MAX_CLIENTS} tables")
    return tables


def _complaint(error: Any) -> str:
    message = str(error["msg"]).removeprefix("Value error, ")
    if not error["loc"]:
        return message
    name = str(error["loc"][0])
    if error["type"] == "extra_forbidden":
        return f"{name} is not an entry of a client"
    field = Client.model_fields.get(name)
    if error["type"] != "value_error" and field is not None and field.description:
        message = field.description
    return f"{name} {message}"


def _shared_keys(clients: Mapping[str, Client]) -> list[str]:
    """A key or secret that two clients have would let one be taken for the other."""
    owners: dict[str, str] = {}
    return [
        f"{client.id}: has a secret or an API key of {owners[proof]}"
        for client in clients.values()
        for proof in _proofs(client)
        if owners.setdefault(proof, client.id) != client.id
    ]


def _proofs(client: Client) -> list[str]:
    secrets = (each.get_secret_value() for each in client.token_secrets)
    return [*client.api_keys_sha256, *secrets, *client.token_public_keys]


def _other_mode(clients: Mapping[str, Client], *, livemode: bool) -> list[str]:
    other = "test" if livemode else "live"
    return [
        f"{client.id}: stripe_secret_key and STRIPE_SECRET_KEY must both be test or both be live"
        for client in clients.values()
        if client.mode == other
    ]


def _shown(text: str) -> str:
    return "".join(each if each.isprintable() else "?" for each in text)
