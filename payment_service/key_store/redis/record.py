"""A record as the fields of a hash, and back; the order is the key's.

Owner and version stand beside the record, where a script can compare them.
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
    """Write FIELDS; what is None is left out."""
    values = ((name, getattr(record, name)) for name in _NAMES)
    known = {name: value for name, value in values if value is not None}
    text = json.dumps(known, ensure_ascii=False, separators=(",", ":"))
    return record.owner, record.version, text


def as_record(order: Order, held: Sequence[bytes]) -> KeyRecord:
    """Read FIELDS."""
    owner, version, text = held
    return KeyRecord(order=order, owner=owner.decode(), version=int(version), **json.loads(text))
