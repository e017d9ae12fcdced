"""Parses a request's JSON or query string and checks it against the caller's access."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from flask import Request, request

from payment_service import errors
from payment_service.payments.request.create import OrderFields
from payment_service.payments.request.existing_order import OrderRequest
from payment_service.telemetry import request_log
from payment_service.web.access_control import current_access
from payment_service.web.body import read_body
from payment_service.web.json_object import read_json_object

JSON = "application/json"

Parsed = TypeVar("Parsed", bound=OrderFields | OrderRequest)


def parse_body(kind: type[Parsed]) -> Parsed:
    """Parse the request's JSON body. Raises BadRequest and Forbidden."""
    return parse(read_json_object(_json_bytes()), kind)


def parse(given: Mapping[str, Any], kind: type[Parsed]) -> Parsed:
    """Check the fields. From here on, the request's log lines name its order."""
    checked = current_access().check(given, kind)
    request_log.add_fields(order=checked.order_id, client=checked.client_id)
    return checked


def _json_bytes() -> bytes:
    sent: Request = request._get_current_object()  # type: ignore[attr-defined]
    if sent.content_type != JSON and not _is_json(sent):
        message = f"Send JSON in UTF-8, with Content-Type: {JSON}"
        raise errors.BadRequest(message, code="not_json")
    coding = sent.headers.get("Content-Encoding")
    return read_body(sent.stream.read, sent.content_length, coding=coding)


def _is_json(sent: Request) -> bool:
    charset = sent.mimetype_params.get("charset", "utf-8")
    return sent.mimetype == JSON and charset.lower() in ("utf-8", "utf8")
