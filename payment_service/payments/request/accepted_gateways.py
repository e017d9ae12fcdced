"""The gateways that a caller's page can handle."""

from __future__ import annotations

from payment_service.schema.gateway_names import GATEWAY_TITLES

_NAMES = " and ".join(GATEWAY_TITLES)


def accepted_gateways(given: tuple[str, ...]) -> tuple[str, ...]:
    """Check the names. A gateway may be named that this service does not use.

    Raises ValueError for none, for a name that is not known, and for one that is named twice.
    """
    if not given or not set(given) <= GATEWAY_TITLES.keys() or len(set(given)) < len(given):
        raise ValueError(f"must name one or more of {_NAMES}, each once")
    return given
