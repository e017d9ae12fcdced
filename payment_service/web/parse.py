"""What a request asks for: its JSON or its query, checked with the access of whoever sends it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from flask import Request, request

from payment_service import errors
from payment_service.payments.request.create import OrderFields
from payment_service.payments.request.existing_order import OrderRequest
from payment_service.telemetry import request_log
from payment_service.web.access_control import access
from payment_service.web.body import read_body
from payment_service.web.json_object import read_json_object

JSON = "application/json"

Asked = TypeVar("Asked", bound=OrderFields | OrderRequest)


def asked_in_body(kind: type[Asked]) -> Asked:
    """Read the request's JSON body. Raises BadRequest, and what access to it raises."""
    return asked(read_json_object(_json_bytes()), kind)


def asked(given: Mapping[str, Any], kind: type[Asked]) -> Asked:
    """Check what is given; the request's log lines name its order from now on."""
    checked = access().checked(given, kind)
    request_log.know(order=checked.order_id, client=checked.client_id)
    return checked


def _json_bytes() -> bytes:
    sent: Request = request._get_current_object()  # type: ignore[attr-defined]
    if sent.content_type != JSON and not _means_json(sent):
        message = f"Send JSON in UTF-8, with Content-Type: {JSON}"
        raise errors.BadRequest(message, code="not_json")
    return read_body(sent.stream.read, sent.content_length)


def _means_json(sent: Request) -> bool:
    charset = sent.mimetype_params.get("charset", "utf-8")
    return sent.mimetype == JSON and charset.lower() in ("utf-8", "utf8")
