"""Text that must not show: in a log, a traceback, an error message."""

from __future__ import annotations

import re

_SECRETS = re.compile(
    r"(?<![^\W_])[rs]k_(?:test|live)_\w+"  # Stripe's keys, in the middle of a name, too
    r"|(?<![^\W_])whsec_[\w+/=]+"
    r"|_secret_\w+"  # the tail of a client_secret; the PaymentIntent's id stays
    r"|(?<=://)[^\s/@]*(?=@)"  # who a store's URL logs in as
    # An order's token, and one that was cut. It matches wherever it begins, so that no two tries
    # read the same text: a pattern that needs the two dots takes quadratic time on `-eyJ-eyJ…`.
    r"|\beyJ[\w-]+(?:\.[\w-]+){0,2}\.?"
    r"|\bapi_[0-9a-f]{32,}"  # a client's API key
    r"|(?<=[Bb]earer )[^\s\"']+"
)

# A stranger may have written a text of any length; a person reads the beginning.
MAX_CHARACTERS = 4_000

# One of these is in every text that _SECRETS would change. To look for them costs a fiftieth of
# the pattern, which was most of the cost of a line.
_MARKS = ("k_test_", "k_live_", "whsec_", "_secret_", "://", "eyJ", "api_", "earer ")


class Secret:
    """A key or a password; only `get_secret_value` gives it away, which can be searched for."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def __eq__(self, other: object) -> bool:
        return self._value == other._value if isinstance(other, Secret) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._value)

    def __repr__(self) -> str:
        """Say that it is there, and nothing of it, not even its length."""
        return "Secret('**********')"

    def get_secret_value(self) -> str:
        """Return the text."""
        return self._value


def shortened(text: str, most: int = MAX_CHARACTERS) -> str:
    """Return the first `most` characters of a text, and how many were left out."""
    left_out = len(text) - most
    return text if left_out <= 0 else f"{text[:most]}… ({left_out} more characters)"


def redacted(text: str) -> str:
    """Return the text without Stripe keys, client_secrets and the passwords of URLs.

    Takes time in proportion to the text. Callers shorten what a stranger may have written.
    """
    for mark in _MARKS:
        if mark in text:
            return _SECRETS.sub("[redacted]", text)
    return text
