"""Stripe's HTTP API: requests as Stripe's SDK sends them, and answers.

The SDK builds a request and parses an answer at three times the CPU of everything else in a send.
The little that this service needs of it is here; a test compares the requests with the SDK's.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any
from urllib.parse import quote_plus

from msgspec import Struct
from msgspec.json import decode

from payment_service.gateways.calls import Answer, Call, ErrorStatus, Http
from payment_service.http_client.connection import Response

API_BASE = "https://api.stripe.com"

FORM = "application/x-www-form-urlencoded"


class ErrorAnswer(ErrorStatus):
    """An answer that reports an error. `error` is Stripe's error object, None if it has none."""

    def __init__(self, response: Response) -> None:
        super().__init__(response.status)
        try:
            found = _parsed(response.body)["error"]
        except (ValueError, TypeError, KeyError, RecursionError):
            found = None
        self.error: Mapping[str, Any] | None = found if isinstance(found, dict) else None


class StripeApi(Struct, frozen=True):
    """The requests of one account; shared by all threads."""

    http: Http
    api_key: str
    api_version: str
    api_base: str = API_BASE
    stripe_account: str | None = None

    def send(self, call: Call, ends_at: float) -> Response:
        """Send a call once, and return the answer whatever its status. Raises HttpFailure."""
        url, form = self.api_base + call.path, encoded(call.params)
        if call.method == "get":
            target = f"{url}?{form}" if form else url
            return self.http.send("GET", target, self._headers(call), None, ends_at)
        return self.http.send("POST", url, self._headers(call), form.encode(), ends_at)

    def _headers(self, call: Call) -> dict[str, str]:
        headers = {
            "Authorization": f"Bearer {self.api_key}",
            "Stripe-Version": call.api_version or self.api_version,
        }
        if self.stripe_account:
            headers["Stripe-Account"] = self.stripe_account
        if call.method == "post":
            assert call.key, "Stripe would execute each send"
            headers |= {"Content-Type": FORM, "Idempotency-Key": call.key}
        return headers


def read_answer(response: Response, key: str | None) -> Answer:
    """Parse an answer. Raises ErrorAnswer for an error status.

    Raises ValueError without JSON, and if Stripe names another idempotency key than ours.
    """
    if key is not None and response.headers.get("idempotency-key", key) != key:
        raise ValueError("the answer to another request")
    if not 200 <= response.status < 300:
        raise ErrorAnswer(response)
    return Answer(_parsed(response.body), response.headers)


def _parsed(body: bytes) -> Any:
    try:
        return decode(body)
    except (ValueError, RecursionError):
        # Slower, but it accepts half of a surrogate pair, which may be in any text of an object.
        return json.loads(body)


def encoded(params: Mapping[str, Any]) -> str:
    """Encode request parameters as the SDK does: lists by index, brackets unescaped."""
    pairs = [pair for name, value in params.items() for pair in _pairs(name, value)]
    return "&".join([f"{_quoted_name(name)}={_quoted(str(value))}" for name, value in pairs])


@lru_cache(256)
def _quoted_name(name: str) -> str:
    return _quoted(name)


def _quoted(text: str) -> str:
    if text.isalnum() and text.isascii():
        return text
    return quote_plus(text).replace("%5B", "[").replace("%5D", "]")


def _pairs(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    if type(value) is str:
        yield name, value
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _pairs(f"{name}[{key}]", inner)
    elif isinstance(value, list | tuple):
        for index, inner in enumerate(value):
            within = f"{name}[{index}]"
            if isinstance(inner, list | tuple):
                inner = dict(enumerate(inner))
            if isinstance(inner, Mapping):
                yield from _pairs(within, inner)
            else:
                yield within, inner
    elif isinstance(value, bool):
        yield name, str(value).lower()
    elif value is not None:
        yield name, value
