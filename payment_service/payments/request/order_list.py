"""A request for a list of orders: the query of GET /orders."""

from __future__ import annotations

import base64
import json
import math
import re
from typing import Annotated, Any, Literal

from msgspec import Struct

from payment_service.key_store.contract import Position
from payment_service.payments.request.create import OrderName
from payment_service.schema.fields import rule

MAX_LIMIT, DEFAULT_LIMIT = 100, 20

_INTEGER = re.compile("[0-9]{1,9}")

# The answers have three decimals; six are those of a float of today.
_SECONDS = re.compile(r"[0-9]{1,12}(\.[0-9]{1,6})?")

UNKNOWN, IN_FLIGHT = "unknown", "in_flight"

Status = Literal[
    "in_flight",
    "unknown",
    "rejected",
    "requires_payment_method",
    "requires_confirmation",
    "requires_action",
    "processing",
    "requires_capture",
    "succeeded",
    "canceled",
]

_NOT_A_CURSOR = "must be the next_cursor of an earlier answer"
_NOT_A_LIMIT = f"must be an integer from 1 to {MAX_LIMIT}"
_NOT_AN_INSTANT = "must be Unix seconds, like 1796083200 or 1796083200.123"


def _integer(text: object) -> int:
    if not isinstance(text, str) or not _INTEGER.fullmatch(text):
        raise ValueError(_NOT_A_LIMIT)
    return int(text)


def _seconds(text: object) -> float:
    if not isinstance(text, str) or not _SECONDS.fullmatch(text):
        raise ValueError(_NOT_AN_INSTANT)
    return float(text)


def cursor_of(position: Position) -> str:
    """Write a position as a cursor, which is opaque to callers."""
    text = json.dumps([position.updated_at, position.key.decode()], ensure_ascii=False)
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def position_of_cursor(cursor: str) -> Position:
    """Parse a cursor that `cursor_of` made. Raises ValueError with a rule."""
    try:
        padded = cursor.encode("ascii") + b"=" * (-len(cursor) % 4)
        found: Any = json.loads(base64.b64decode(padded, b"-_", validate=True))
        updated_at, key = found
        if isinstance(updated_at, bool) or not math.isfinite(updated_at):
            raise TypeError  # noqa: TRY301 - the rule replaces every error
        return Position(float(updated_at), key.encode())
    except (ValueError, TypeError, AttributeError, OverflowError, RecursionError):
        raise ValueError(_NOT_A_CURSOR) from None


def _checked(cursor: str) -> str:
    position_of_cursor(cursor)
    return cursor


Flag = Annotated[Literal["true", "false"], rule("must be true or false")]
Instant = Annotated[float, rule(_NOT_AN_INSTANT, first=_seconds)]


class OrdersRequest(Struct, frozen=True, kw_only=True):
    """A request for orders, the one that changed last first. Absent filters include all orders.

    `updated_from` is inclusive, `updated_until` exclusive. Without `client_id`, the request is for
    the orders of all clients, and for those without a client.
    """

    status: Annotated[Status, rule("must be a status of an order")] | None = None
    unknown: Flag = "false"
    alarm: Flag = "false"
    updated_from: Instant | None = None
    updated_until: Instant | None = None
    client_id: OrderName | None = None
    limit: Annotated[int, rule(_NOT_A_LIMIT, first=_integer, ge=1, le=MAX_LIMIT)] = DEFAULT_LIMIT
    cursor: Annotated[str, rule(_NOT_A_CURSOR, then=_checked, max_length=4096)] | None = None

    def __post_init__(self) -> None:
        """Check that the filters do not contradict each other. Raises ValueError."""
        if self.unknown == "true" and self.status not in (None, UNKNOWN):
            raise ValueError("unknown: cannot be true together with another status")

    @property
    def before(self) -> Position | None:
        """The position that the page is below."""
        return None if self.cursor is None else position_of_cursor(self.cursor)
