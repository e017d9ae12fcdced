"""The access token of a REST app: one thread fetches it, the others wait for it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from msgspec import Struct

from payment_service.gateways.calls import Answer, Call
from payment_service.gateways.deadline import Deadline
from payment_service.gateways.paypal.paths import TOKEN
from payment_service.gateways.retry import SendFailed
from payment_service.gateways.send import Sender
from payment_service.gateways.send_report import Meaning, Verdict

# A token is renewed this long before its end: a request that takes it must arrive in time.
EARLY_SECONDS = 60.0


class NoToken(Exception):
    """There is no access token, so nothing was sent. Its `failed` is what happened."""

    def __init__(self, failed: SendFailed) -> None:
        super().__init__(failed.verdict.meaning.name)
        self.failed = failed


class Token(Struct, frozen=True):
    """An access token. `until`: when it is renewed, on the clock of the Tokens."""

    text: str
    until: float

    def __repr__(self) -> str:
        """Do not show the text."""
        return f"Token(until={self.until!r})"


class Tokens:
    """The token of one account in this process; shared by all threads."""

    def __init__(self, sender: Sender, clock: Callable[[], float] = time.monotonic) -> None:
        self._sender, self._clock = sender, clock
        self._token: Token | None = None
        self._fetching = threading.Lock()
        self._fetches = 0
        self._refused: SendFailed | None = None

    def get(self, deadline: Deadline) -> str:
        """Return a valid token; fetch one if there is none. Raises NoToken."""
        before = self._fetches
        token = self._valid()
        if token:
            return token
        if not self._fetching.acquire(timeout=max(0.0, deadline.left())):
            raise NoToken(SendFailed(Verdict(Meaning.NO_ANSWER, again=True)))
        try:
            if self._refused and self._fetches != before:
                # Another thread has just got this answer, and everybody would get it again.
                raise NoToken(self._refused)
            return self._valid() or self._fetch(deadline)
        finally:
            self._fetching.release()

    def renew(self, stale: str, deadline: Deadline) -> str:
        """Return another token than this one, which PayPal rejected. Raises NoToken."""
        token = self._token
        if token and token.text == stale:
            self._token = None
        return self.get(deadline)

    def _valid(self) -> str | None:
        token = self._token
        return token.text if token and self._clock() < token.until else None

    def _fetch(self, deadline: Deadline) -> str:
        """Fetch a token; the caller holds the lock."""
        call = Call("post", TOKEN, {"grant_type": "client_credentials"})
        self._refused = None
        try:
            self._token = token = self._sender.send(call, deadline, self._read)
        except SendFailed as failed:
            answered = failed.verdict.status is not None
            self._refused = failed if answered else None
            raise NoToken(failed) from failed
        finally:
            self._fetches += 1
        return token.text

    def _read(self, answer: Answer) -> Token:
        """Read the token endpoint's answer. Raises ValueError, LookupError or TypeError."""
        text, seconds = answer.body["access_token"], float(answer.body["expires_in"])
        if not (isinstance(text, str) and text.isascii() and text.isprintable() and text.strip()):
            raise ValueError("no access token")
        if not seconds > 0:
            raise ValueError("an expired access token")
        return Token(text, self._clock() + seconds - EARLY_SECONDS)
