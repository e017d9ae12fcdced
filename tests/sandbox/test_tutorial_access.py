"""Only the demo's page can use the tutorial's server, which can kill the service's workers."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable
from typing import Any

import pytest

from sandbox.tutorial.access import Start, children_of, restricted_to_page

PAGE_PORT = 4242


def tutorial(_: dict[str, Any], start: Start) -> Iterable[bytes]:
    start("200 OK", [("Content-Type", "application/json")])
    return [b"{}"]


def ask(
    path: str, origin: str | None, method: str = "POST"
) -> tuple[str, dict[str, str], bytes, int]:
    """Send a request; return its status, headers and body, and the number of kills."""
    kills: list[None] = []
    app = restricted_to_page(
        tutorial, page_port=PAGE_PORT, kill=lambda: kills.append(None), source=b"source"
    )
    answered: dict[str, Any] = {}

    def start(status: str, headers: list[tuple[str, str]]) -> None:
        answered.update(status=status, headers=dict(headers))

    environ = {"REQUEST_METHOD": method, "PATH_INFO": path}
    if origin is not None:
        environ["HTTP_ORIGIN"] = origin
    body = b"".join(app(environ, start))
    return answered["status"], answered["headers"], body, len(kills)


@pytest.mark.parametrize("origin", ["http://127.0.0.1:4242", "http://localhost:4242"])
def test_the_demo_page_can_kill_the_workers(origin: str) -> None:
    status, headers, _, kills = ask("/kill", origin)
    assert (status, kills) == ("204 No Content", 1)
    assert headers["Access-Control-Allow-Origin"] == origin


@pytest.mark.parametrize(
    "origin", [None, "", "null", "http://127.0.0.1:4243", "https://shop.example:4242", "http://["]
)
@pytest.mark.parametrize("path", ["/kill", "/plain/create-payment-intent", "/source"])
def test_other_origins_are_rejected(path: str, origin: str | None) -> None:
    status, headers, body, kills = ask(path, origin)
    assert (status, body, kills) == ("403 Forbidden", b"", 0)
    assert "Access-Control-Allow-Origin" not in headers


def test_a_get_kills_no_worker() -> None:
    assert ask("/kill", "http://127.0.0.1:4242", method="GET")[3] == 0


def test_the_demo_page_can_read_responses() -> None:
    status, headers, body, _ = ask("/plain/create-payment-intent", "http://127.0.0.1:4242")
    assert (status, body) == ("200 OK", b"{}")
    assert headers["Access-Control-Allow-Origin"] == "http://127.0.0.1:4242"
    assert headers["Content-Type"] == "application/json"


def test_the_source_can_be_fetched() -> None:
    assert ask("/source", "http://127.0.0.1:4242", method="GET")[2] == b"source"


def test_children_of_lists_the_children() -> None:
    code = (
        "import subprocess, sys; p = subprocess.Popen([sys.executable, '-c', 'input()'], "
        "stdin=subprocess.PIPE); print(p.pid, flush=True); input(); p.communicate()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdout
        child = int(server.stdout.readline())
        assert children_of(server.pid) == [child]
        server.communicate("\n")
