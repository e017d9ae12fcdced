"""payment_method_options: any value for Stripe that its form encoding can express faithfully."""

from __future__ import annotations

import re
from typing import Any

from payment_service.payments.request.method_types import TYPE_NAME
from payment_service.payments.request.text import free_text

MAX_DEPTH = 5
MAX_TEXT = 5000
MAX_INTEGER = 10**18

# Sent as payment_method_options[card][…]: a bracket in a name would set another option.
_NAME = re.compile(r"[A-Za-z0-9_]{1,100}")


def checked_options(given: dict[str, Any]) -> dict[str, Any]:
    """Return the options sorted by name at every depth; raises ValueError."""
    for kind, options in given.items():
        if not TYPE_NAME.fullmatch(kind) or not isinstance(options, dict):
            raise ValueError('must map types to objects, like {"acss_debit": {…}}')
    return {kind: _checked(given[kind], 1) for kind in sorted(given)}


def _checked(value: Any, depth: int) -> Any:
    if depth > MAX_DEPTH:
        raise ValueError(f"must not be nested more than {MAX_DEPTH} deep")
    if value in ([], {}):
        # The form encoding would drop it silently.
        raise ValueError("must hold no empty list or object: Stripe's form cannot say one")
    if isinstance(value, dict):
        return {_checked_name(name): _checked(value[name], depth + 1) for name in sorted(value)}
    if isinstance(value, list):
        return [_checked_item(item, depth + 1) for item in value]
    return _checked_scalar(value)


def _checked_item(value: Any, depth: int) -> Any:
    """Reject booleans, which the SDK sends as Python's True in a list, and lists of lists.

    No Stripe option takes lists of lists.
    """
    if type(value) in (bool, list):
        raise ValueError("lists must hold text, integers or objects")
    return _checked(value, depth)


def _checked_scalar(value: Any) -> Any:
    if isinstance(value, str):
        if len(value) > MAX_TEXT:
            raise ValueError(f"texts must have at most {MAX_TEXT} characters")
        return free_text(value)
    if isinstance(value, int) and abs(value) < MAX_INTEGER:
        return value
    raise ValueError("values must be text, integers, true, false, lists or objects")


def _checked_name(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise ValueError("names must have 1 to 100 letters, digits or _")
    return name
