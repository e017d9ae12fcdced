"""The way out of this machine, from the settings."""

from __future__ import annotations

from payment_service.http_client.client import Network
from payment_service.settings import Settings


def network_of(settings: Settings) -> Network:
    """Return the proxy and the certificate authorities of every outgoing call."""
    bundle = settings.ca_bundle or settings.ssl_cert_file
    return Network(
        settings.https_proxy, settings.no_proxy or "", None if bundle is None else str(bundle)
    )
