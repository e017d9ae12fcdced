"""Converts a record to the fields of a Redis hash and back; the order is in the key.

Owner and version are fields of their own, so that a script can compare them. So is `alarm_at`:
earlier releases reject a name in the JSON that they do not know. They do not change this field, so
`listed` is the version of the record that it belongs to.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from msgspec.structs import fields

from payment_service.key_store.contract import KeyRecord, Order
from payment_service.key_store.order_key import order_key

PREFIX = "payment:order:"

FIELDS = ("owner", "version", "record", "alarm_at", "listed")

_NAMES = tuple(field.name for field in fields(KeyRecord) if field.name not in ("order", *FIELDS))


def record_key(order: Order) -> str:
    """Return the key of the order's hash."""
    return PREFIX + order_key(order)


def as_fields(record: KeyRecord) -> tuple[str, int, str, str]:
    """Return the values of FIELDS but the last, which is the version; the JSON omits None."""
    values = ((name, getattr(record, name)) for name in _NAMES)
    known = {name: value for name, value in values if value is not None}
    text = json.dumps(known, ensure_ascii=False, separators=(",", ":"))
    alarm_at = "" if record.alarm_at is None else repr(float(record.alarm_at))
    return record.owner, record.version, text, alarm_at


def as_record(order: Order, held: Sequence[bytes | None]) -> KeyRecord:
    """Parse the values of FIELDS; ignore names that a newer release has added."""
    owner, version, text, alarm_at, listed = held
    assert owner is not None
    assert version is not None
    assert text is not None
    known = {name: value for name, value in json.loads(text).items() if name in _NAMES}
    return KeyRecord(
        order=order,
        owner=owner.decode(),
        version=int(version),
        alarm_at=float(alarm_at) if alarm_at and listed == version else None,
        **known,
    )
