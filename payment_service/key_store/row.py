"""Converts a record to a table row and back; the columns are the record's fields, in order."""

from __future__ import annotations

from collections.abc import Sequence
from operator import attrgetter
from typing import Any

from msgspec.structs import fields

from payment_service.key_store.contract import KeyRecord
from payment_service.key_store.order_key import client_key, order_of

COLUMNS = tuple(field.name for field in fields(KeyRecord) if field.name != "order")

_values = attrgetter(*COLUMNS)
UPDATED_AT = 1 + COLUMNS.index("updated_at")
_SAVED_5XX = 1 + COLUMNS.index("saved_5xx")


def as_row(record: KeyRecord) -> dict[str, Any]:
    """Return the row's values by column name.

    `key` is the order's key, and `list_client` its beginning, by which pages find the client.
    """
    row = dict(zip(COLUMNS, _values(record), strict=True))
    row["list_client"] = client_key(record.order.livemode, record.order.client_id)
    row["key"] = row["list_client"] + record.order.order_id
    return row


def as_record(row: Sequence[Any]) -> KeyRecord:
    """Parse a row: the key, then COLUMNS. SQLite stores a bool as an integer."""
    key, *values = row
    values[_SAVED_5XX - 1] = bool(values[_SAVED_5XX - 1])
    return KeyRecord(order_of(key), *values)
