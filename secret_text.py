"""Text that must not show: in a log, a traceback, an error message."""

from __future__ import annotations


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
