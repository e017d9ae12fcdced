"""An incoming request, parsed but not validated."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from sandbox.answers import refusal
from sandbox.form import Form, decode_form

_VERSION = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}(\.[a-z]+)?\Z")
_FORM = "application/x-www-form-urlencoded"


@dataclass(frozen=True, slots=True)
class Request:
    """One request; `key` is its Idempotency-Key, if the method supports one."""

    method: str
    path: str
    params: Form
    id: str
    version: str
    key: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    note: str | None = None


def read_request(
    method: str,
    target: str,
    headers: Mapping[str, str],
    body: bytes,
    request_id: str,
    note: str | None = None,
) -> Request:
    """Parse target, headers and body; raise a Refusal for an invalid form or API version."""
    lower = {name.lower(): value for name, value in headers.items()}
    path, _, query = target.partition("?")
    posted = method == "POST"
    text = _form_text(body, lower.get("content-type", _FORM)) if posted else query
    return Request(
        method=method,
        path=path,
        params=decode_form(text),
        id=request_id,
        version=_version(lower.get("stripe-version", "")),
        key=(lower.get("idempotency-key") or None) if posted else None,
        headers=lower,
        note=note,
    )


def _form_text(body: bytes, content_type: str) -> str:
    if body and not content_type.startswith(_FORM):
        message = f"Invalid request (check that your POST content type is {_FORM})."
        raise refusal(message)
    try:
        return body.decode("ascii")
    except UnicodeDecodeError:
        return body.decode("utf-8", errors="replace")


def _version(given: str) -> str:
    if given and not _VERSION.match(given):
        raise refusal(f"Invalid Stripe API version: {given}")
    return given
