"""Stripe's limits on metadata, and the names that the service reserves for the order.

Source: docs.stripe.com/api/metadata.
"""

from __future__ import annotations

from payment_service.gateways.intent import MOVED_TO
from payment_service.payments.request.text import free_text

MAX_NAMES, MAX_NAME_CHARACTERS, MAX_VALUE_CHARACTERS = 50, 40, 500

# The service uses these to find a PaymentIntent whose record is lost: clients may not set them.
OURS = ("order_id", "client_id")

# Set by the service alone, too: where the order's money was taken instead (rule 22).
RESERVED = (*OURS, MOVED_TO)


def checked_metadata(given: dict[str, str]) -> dict[str, str]:
    """Return the metadata sorted by name; raises ValueError.

    Values are texts. An earlier check rejects numbers instead of converting them, because 1.10
    would become 1.1, and 1e2 would become 100.0, which the sender did not write.
    """
    return {_checked_name(name): _checked_value(given[name]) for name in sorted(given)}


def check_room(metadata: dict[str, str] | None, ours: int) -> None:
    """Raise ValueError if the metadata has no room for `ours` more names."""
    room = MAX_NAMES - ours
    if metadata and len(metadata) > room:
        raise ValueError(
            f"metadata: may have at most {room} names here: Stripe takes {MAX_NAMES}, "
            f"and {' and '.join(OURS[:ours])} {'is one' if ours == 1 else 'are two'} of them"
        )


def _checked_name(name: str) -> str:
    if name in OURS:
        raise ValueError(f"must not hold {name}: it is added from the field {name} itself")
    if name in RESERVED:
        raise ValueError(f"must not hold {name}: the service sets it itself")
    if not name.strip() or len(name) > MAX_NAME_CHARACTERS or set(name) & set("[]"):
        raise ValueError(f"names must have 1 to {MAX_NAME_CHARACTERS} characters, none of them [ ]")
    if not name.isprintable():
        raise ValueError("names must be printable")
    return name


def _checked_value(value: str) -> str:
    if len(value) > MAX_VALUE_CHARACTERS:
        raise ValueError(f"values must have at most {MAX_VALUE_CHARACTERS} characters")
    return free_text(value)
