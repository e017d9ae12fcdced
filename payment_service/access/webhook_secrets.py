"""The signing secrets of webhooks, and the orders that each secret may change.

Verifying a signature takes time in proportion to the event, for each secret tried. So try only a
few, the likeliest first.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING

from payment_service.gateways.stripe.webhook import Hint
from payment_service.schema.secret import Secret

if TYPE_CHECKING:
    from payment_service.access.clients import Client, Clients

# The number of endpoints that one Stripe account may have.
MAX_TRIED = 16

# A Stripe account: its API key and connected account. (None, None) is the service's own.
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

    def candidates(self, hint: Hint, named: str | None = None) -> list[str]:
        """Return at most MAX_TRIED secrets to try, the likeliest first.

        `named` is the client in the URL that Stripe calls: only its own secrets are tried.
        """
        if named is not None:
            return self._of_client.get(named, [])[:MAX_TRIED]
        return list(islice(dict.fromkeys(self._in_order(hint)), MAX_TRIED))

    def may_change_orders_of(self, secret: str, client_id: str | None) -> bool:
        """Whether an event with this secret may change a client's orders (None: no client's).

        The service's secrets may change all orders, a client's those of all clients with the same
        account. So no client can make the service query another client's account.
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
        # The client's own secrets first: the service may have many while it rolls them.
        yield from self._of_client.get(client_id, [])[: MAX_TRIED // 4]
        yield from islice(self._of_connected.get(hint.account or "", {}), MAX_TRIED // 4)
        yield from self._own
        yield from self._of_account.get(self._accounts.get(client_id, (None, None)), {})
        yield from self._all


def _each(secrets: Secret | None) -> Iterable[str]:
    """Split a comma-separated list of secrets; there are several while one is rolled."""
    if secrets is None:
        return ()
    return [part for each in secrets.get_secret_value().split(",") if (part := each.strip())]
