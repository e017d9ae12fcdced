"""A query string parser, as strict as the JSON parser."""

from __future__ import annotations

from collections import Counter
from urllib.parse import parse_qsl

from payment_service.payments.request.problems import bad_request
from payment_service.schema.fields import Fault


def read_query(query: bytes) -> dict[str, str]:
    """Parse a query string.

    Rejects ambiguous ones: a name given twice, or text that is not UTF-8. Raises BadRequest, which
    names the field.
    """
    text = query.decode("utf-8", "surrogateescape")
    pairs = parse_qsl(text, keep_blank_values=True, errors="surrogateescape")
    counts = Counter(name for name, _ in pairs)
    faults = [_twice(name) for name, count in counts.items() if count > 1]
    faults += [_not_text(name) for name, value in pairs if not _is_text(name + value)]
    if faults:
        raise bad_request(faults)
    return dict(pairs)


def _twice(name: str) -> Fault:
    return Fault("broken", name, "is given more than once, so its value is ambiguous")


def _not_text(name: str) -> Fault:
    return Fault("broken", name, "must be text in UTF-8")


def _is_text(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
