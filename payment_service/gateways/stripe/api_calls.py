"""Calls to Stripe that use the SDK as little as possible.

The SDK takes three times the CPU of everything else in a send: it rebuilds its headers for each
request and formats log lines that have no reader. This module gets the headers from the SDK once,
without a send. Our requests are then the ones that the SDK would send (a test compares the two).
The SDK parses an answer only if it is not a 200 with valid JSON.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any
from urllib.parse import quote_plus

import stripe
from msgspec.json import decode

from payment_service.gateways.sends import Meaning, Verdict


@dataclass(slots=True)
class Call:
    """One operation; counts its sends, and tracks whether Stripe may have executed one."""

    method: str
    path: str
    params: Mapping[str, Any] = field(default_factory=dict)
    key: str | None = None
    api_version: str | None = None
    sends: int = 0
    unresolved: int = 0
    request_ids: set[str] = field(default_factory=set)
    """Stripe's request ids of the sends that Stripe answered with a failure."""
    may_send: Callable[[], bool] = lambda: True
    """Called before each send, because the wait before it may have taken longer than planned."""

    def note(self, verdict: Verdict) -> None:
        """Count a failed send. A rate-limited one never reached the idempotency layer."""
        self.unresolved += verdict.meaning is not Meaning.LIMITED
        if verdict.request_id:
            self.request_ids.add(verdict.request_id)

    @property
    def after_unresolved(self) -> bool:
        """Whether Stripe may have executed a send before the last one."""
        return self.unresolved > 1


@dataclass(frozen=True, slots=True)
class Answer:
    """A JSON answer. `headers` has lower-case names."""

    body: Any
    headers: Mapping[str, str]


@dataclass(slots=True)
class Played:
    """An answer for the SDK to parse without a send, and the request that the SDK built."""

    content: Any
    status: int
    received: Mapping[str, str]
    url: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)


class HeaderKeeper(stripe.HTTPClient):
    """Passes requests on, and keeps the headers of the current thread's last answer.

    When the SDK cannot parse an answer, its error lacks the headers, and with them whether the
    answer was a replay.
    """

    name = "requests"

    def __init__(self, inner: stripe.HTTPClient) -> None:
        super().__init__()
        self._inner = inner
        self._last = threading.local()

    def request(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str] | None,
        post_data: Any = None,
        *,
        _usage: list[str] | None = None,
    ) -> tuple[str, int, Mapping[str, str]]:
        """Send once, or return the answer that `playing` set."""
        played: Played | None = getattr(self._last, "played", None)
        if played is not None:
            played.url, played.headers = url, dict(headers or {})
            return played.content, played.status, played.received
        self._last.answer = (None, {})
        content, status, received = self._inner.request(method, url, headers, post_data)
        self._last.answer = (status, {name.lower(): text for name, text in received.items()})
        return content, status, received

    @contextmanager
    def playing(self, played: Played) -> Iterator[None]:
        """Answer this thread's requests with `played`, without a send."""
        self._last.played = played
        try:
            yield
        finally:
            self._last.played = None

    def last(self) -> tuple[int | None, Mapping[str, str]]:
        """Return status and headers of this thread's last answer; (None, {}) if there was none."""
        found: tuple[int | None, Mapping[str, str]] = getattr(self._last, "answer", (None, {}))
        return found

    def close(self) -> None:
        """Close the connections."""
        self._inner.close()  # type: ignore[no-untyped-call]


class Sdk:
    """Sends and parses as a StripeClient would; shared by all threads."""

    def __init__(self, client: stripe.StripeClient, keeper: HeaderKeeper, api_version: str) -> None:
        self._client, self._keeper, self._api_version = client, keeper, api_version
        self._words: dict[str, tuple[str, Mapping[str, str]]] = {}

    def ask(self, call: Call) -> Answer:
        """Send what the SDK would send; the SDK parses any answer but a 200 with valid JSON.

        Raises the SDK's exceptions.
        """
        if call.method == "get" and call.params:
            return self._ask_sdk(call)
        base, headers = self._words_of(call)
        body = form(call.params) if call.method == "post" else None
        content, status, received = self._keeper.request(
            call.method, base + call.path, headers, body
        )
        if status == 200:
            with suppress(ValueError, RecursionError):
                return Answer(decode(content), self._keeper.last()[1])
        with self._keeper.playing(Played(content, status, received)):
            return self._ask_sdk(call)

    def _ask_sdk(self, call: Call) -> Answer:
        options = {"stripe_version": call.api_version or self._api_version}
        if call.key:
            options["idempotency_key"] = call.key
        answer = self._client.raw_request(call.method, call.path, **call.params, **options)
        return Answer(answer.data, self._keeper.last()[1])

    def _words_of(self, call: Call) -> tuple[str, dict[str, str]]:
        """Return Stripe's base URL and the headers of a call."""
        if call.method not in self._words:
            self._words[call.method] = self._learn(call.method)
        base, common = self._words[call.method]
        headers = {**common, "Stripe-Version": call.api_version or self._api_version}
        if call.method == "post":
            assert call.key, "the SDK would make a random key"
            headers["Idempotency-Key"] = call.key
        return base, headers

    def _learn(self, method: str) -> tuple[str, Mapping[str, str]]:
        """Get from the SDK, without a send, the headers that it adds to every request."""
        asked = Played(b"{}", 200, {})
        with self._keeper.playing(asked):
            self._client.raw_request(method, "/v1/nothing")
        return asked.url.removesuffix("/v1/nothing"), asked.headers


def form(params: Mapping[str, Any]) -> str:
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
