"""Secrets, which must not appear in logs, tracebacks or error messages."""

from __future__ import annotations

import re

_SECRETS = re.compile(
    r"(?<![^\W_])[rs]k_(?:test|live)_\w+"  # Stripe's keys, also inside a name
    r"|(?<![^\W_])whsec_[\w+/=]+"
    r"|_secret_\w+"  # the tail of a client_secret, without the PaymentIntent's id
    r"|(?<=://)[^\s/@]*(?=@)"  # user and password in a store's URL
    # An order's token, whole or truncated. The dots are optional because a pattern that requires
    # them takes quadratic time on `-eyJ-eyJ…`.
    r"|\beyJ[\w-]+(?:\.[\w-]+){0,2}\.?"
    r"|\b(?:api|operator)_[0-9a-f]{32,}"  # a key of a client or an operator
    r"|(?<=[Bb]earer )[^\s\"']+"
)

# Untrusted text may have any length; a person reads only the beginning.
MAX_CHARACTERS = 4_000

# Every text that _SECRETS changes contains one of these. Looking for them takes a fiftieth of the
# pattern's time, which was most of the cost of a log line.
_MARKS = ("k_test_", "k_live_", "whsec_", "_secret_", "://", "eyJ", "api_", "operator_", "earer ")


class Secret:
    """A key or a password. Only `get_secret_value` returns it, so its uses can be searched for."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def __eq__(self, other: object) -> bool:
        return self._value == other._value if isinstance(other, Secret) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._value)

    def __repr__(self) -> str:
        """Show neither the value nor its length."""
        return "Secret('**********')"

    def get_secret_value(self) -> str:
        """Return the text."""
        return self._value


def shortened(text: str, most: int = MAX_CHARACTERS) -> str:
    """Truncate a text to `most` characters and append how many were left out."""
    left_out = len(text) - most
    return text if left_out <= 0 else f"{text[:most]}… ({left_out} more characters)"


def redacted(text: str) -> str:
    """Return the text without Stripe keys, client_secrets and the passwords of URLs.

    Takes time in proportion to the text, so callers shorten untrusted text first.
    """
    for mark in _MARKS:
        if mark in text:
            return _SECRETS.sub("[redacted]", text)
    return text
