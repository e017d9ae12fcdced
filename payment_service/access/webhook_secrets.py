"""The secrets that may have signed an event, and whose orders each of them speaks for.

To verify a signature takes time in proportion to the event, for every secret that is tried. So few
are tried: those that the event can mean first.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING

from payment_service.gateways.stripe.webhook import Hint
from payment_service.schema.secret import Secret

if TYPE_CHECKING:
    from payment_service.access.clients import Client, Clients

# As many endpoints as one Stripe account may have.
MAX_TRIED = 16

# One account: the key that is used, and the connected account. (None, None) is the service's own.
_Account = tuple[str | None, str | None]


class WebhookSecrets:
    """Every signing secret of the service and of its clients."""

    def __init__(self, service: Secret | None, clients: Clients | None) -> None:
        self._own = list(_each(service))
        self._accounts: dict[str, _Account] = {}
        self._of_account: dict[_Account, dict[str, None]] = {}
        self._of_client: dict[str, list[str]] = {}
        self._of_connected: dict[str, dict[str, None]] = {}
        self._all: dict[str, None] = dict.fromkeys(self._own)
        for client in clients or ():
            self._add(client)

    def __bool__(self) -> bool:
        return bool(self._all)

    def likely(self, hint: Hint, named: str | None = None) -> list[str]:
        """Return the secrets to try, the likeliest first: MAX_TRIED at most.

        `named`: the client of the address that Stripe calls; only its own secrets are tried.
        """
        if named is not None:
            return self._of_client.get(named, [])[:MAX_TRIED]
        return list(islice(dict.fromkeys(self._in_order(hint)), MAX_TRIED))

    def may_speak(self, secret: str, client_id: str | None) -> bool:
        """Whether this secret speaks for the orders of a client (None: for those of none).

        One of the service's speaks for all, a client's own for all clients in its account. So
        no client can have the service look into another's account.
        """
        if secret in self._own:
            return True
        account = self._accounts.get(client_id or "", (None, None))
        return secret in self._of_account.get(account, {})

    def _add(self, client: Client) -> None:
        key = client.stripe_secret_key
        account = (key.get_secret_value() if key else None, client.stripe_account)
        secrets = dict.fromkeys(_each(client.stripe_webhook_secret))
        self._accounts[client.id] = account
        self._of_client[client.id] = list(secrets)
        self._of_account.setdefault(account, {}).update(secrets)
        if client.stripe_account:
            self._of_connected.setdefault(client.stripe_account, {}).update(secrets)
        self._all.update(secrets)

    def _in_order(self, hint: Hint) -> Iterator[str]:
        client_id = hint.client_id or ""
        # The client's own before the service's, which may be many while they are rolled.
        yield from self._of_client.get(client_id, [])[: MAX_TRIED // 4]
        yield from islice(self._of_connected.get(hint.account or "", {}), MAX_TRIED // 4)
        yield from self._own
        yield from self._of_account.get(self._accounts.get(client_id, (None, None)), {})
        yield from self._all


def _each(secrets: Secret | None) -> Iterable[str]:
    """Several are separated by commas, while one is rolled."""
    if secrets is None:
        return ()
    return [part for each in secrets.get_secret_value().split(",") if (part := each.strip())]
