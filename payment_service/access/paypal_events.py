"""PayPal's events: the webhook ids that verify them, and the orders that each id may change.

PayPal signs every account's events with the same certificates. Only the webhook id, which is part
of the signed text, shows whose address an event was sent to.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from payment_service.errors import BadRequest
from payment_service.gateways.event import PaymentEvent
from payment_service.settings import Settings
from payment_service.settings.checks import names

if TYPE_CHECKING:
    from payment_service.access.clients import Client, Clients
    from payment_service.gateways.paypal.certificates import Certificates


class PayPalEvents:
    """Verifies events and reads them; shared by all threads."""

    def __init__(
        self, settings: Settings, clients: Clients | None, certificates: Certificates | None
    ) -> None:
        """`certificates`: None if no order is paid at PayPal."""
        self._own = _ids(settings.paypal_webhook_id)
        self._clients, self._certificates = clients, certificates
        self._livemode = settings.livemode

    def __bool__(self) -> bool:
        """Whether any webhook id can verify an event."""
        clients = self._clients or ()
        return bool(self._own) or any(each.paypal_webhook_id for each in clients)

    def read(
        self, body: bytes, headers: Mapping[str, str], named: str | None = None
    ) -> PaymentEvent | None:
        """Verify an event and return it; None if it is about no order that its sender may change.

        `headers`: with lower-case names. `named`: the client in the URL that PayPal calls; its own
        webhook ids verify the event. Without one, the service's do. Raises BadRequest, and
        GatewayUnreachable if PayPal does not return the certificate.
        """
        client = self._clients.get(named) if self._clients and named is not None else None
        ids = self._own if named is None else _ids(client.paypal_webhook_id if client else None)
        if not ids or self._certificates is None:
            raise BadRequest(
                "PAYPAL_WEBHOOK_ID is not set: no event is taken", code="webhook_id_missing"
            )
        from payment_service.gateways.paypal.webhook import read_event

        event = read_event(body, headers, ids, self._certificates, livemode=self._livemode)
        if event is not None and client is not None and not self._shares(client, event):
            return None
        return event

    def _shares(self, client: Client, event: PaymentEvent) -> bool:
        """Whether the event's order is one of the client's PayPal account.

        Otherwise a client could make the service call PayPal for another client's account.
        """
        other = self._clients.get(event.order.client_id or "") if self._clients else None
        return other is not None and other.paypal_client_id == client.paypal_client_id


def _ids(text: str | None) -> list[str]:
    """Split a list of webhook ids; there are several while an address moves."""
    return [] if text is None else names(text)
