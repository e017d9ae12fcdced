"""Converts a record to the fields of a Redis hash and back; the order is in the key.

Owner and version are fields of their own, so that a script can compare them.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import fields

from payment_service.key_store.contract import KeyRecord, Order

FIELDS = ("owner", "version", "record")

_NAMES = tuple(
    field.name for field in fields(KeyRecord) if field.name not in ("order", "owner", "version")
)


def as_fields(record: KeyRecord) -> tuple[str, int, str]:
    """Return the values of FIELDS; the JSON omits None."""
    values = ((name, getattr(record, name)) for name in _NAMES)
    known = {name: value for name, value in values if value is not None}
    text = json.dumps(known, ensure_ascii=False, separators=(",", ":"))
    return record.owner, record.version, text


def as_record(order: Order, held: Sequence[bytes]) -> KeyRecord:
    """Parse the values of FIELDS."""
    owner, version, text = held
    return KeyRecord(order=order, owner=owner.decode(), version=int(version), **json.loads(text))
