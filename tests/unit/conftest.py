"""Unit tests use no server: a test that connects to anything fails."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import pytest

# Nothing listens there: a test may connect to it to be refused.
NOBODY = ("127.0.0.1", 1)

# Addresses that the running test connected to. An audit hook stays for the life of the process, so
# it is installed once and looks at nothing between unit tests.
_connected: list[Any] | None = None


def _watch(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "socket.connect" and _connected is not None and arguments[1] != NOBODY:
        _connected.append(arguments[1])


sys.addaudithook(_watch)


@pytest.fixture(autouse=True)
def no_connections() -> Iterator[None]:
    """Fail a test that connects, even to this machine."""
    global _connected
    _connected = []
    yield
    made, _connected = _connected, None
    assert made == [], "a unit test connected to a server: move it to tests/service"
