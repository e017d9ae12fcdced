"""The POST of an order event: what arrives, and what the log says when nothing answers."""

from __future__ import annotations

import logging
import socket
from pathlib import Path

import pytest

from payment_service.background.shop_webhook import SIGNATURE_HEADER, ShopListener, signature
from payment_service.outage import QUIET_SECONDS
from payment_service.payments.shop_events.outbox import NotAnswered
from tests.support.scripted_server import OK, ScriptedServer, say


def test_event_arrives_signed() -> None:
    with ScriptedServer() as server:
        shop = ShopListener(f"{server.url}/events", ["a", "b"], clock=lambda: 5.0)
        assert shop(b'{"id": "\xc3\xbc"}') == 200
    head, _, body = server.requests[0].partition(b"\r\n\r\n")
    assert head.startswith(b"POST /events HTTP/1.1\r\n")
    assert f"\r\n{SIGNATURE_HEADER}: {signature(body, ['a', 'b'], 5)}".encode() in head
    assert b"\r\nContent-Type: application/json; charset=utf-8" in head
    assert body == b'{"id": "\xc3\xbc"}'


def test_neither_netrc_nor_cookies_are_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".netrc").write_text("default login me password secret\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    with ScriptedServer(say(OK.replace(b"\r\n", b"\r\nSet-Cookie: a=b\r\n", 1))) as server:
        shop = ShopListener(server.url, ["a"])
        assert [shop(b"{}"), shop(b"{}")] == [200, 200]
    assert b"Authorization" not in server.requests[0]
    assert b"Cookie" not in server.requests[1]


def test_address_with_other_letters_is_encoded() -> None:
    with ScriptedServer() as server:
        assert ShopListener(f"{server.url}/\u00e4?a=%20b", ["a"])(b"{}") == 200
    assert server.requests[0].startswith(b"POST /%C3%A4?a=%20b HTTP/1.1\r\n")


def test_redirect_is_not_followed() -> None:
    moved = b"HTTP/1.1 302 Moved\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n"
    with ScriptedServer(say(moved)) as server:
        assert ShopListener(server.url, ["a"])(b"{}") == 302
    assert len(server.requests) == 1


def test_cause_is_logged_when_the_server_stops_answering(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{nobody.getsockname()[1]}"
        silent = pytest.raises(NotAnswered, match="Failed to connect")
        with caplog.at_level(logging.INFO), silent as silence:
            ShopListener(url, ["a"])(b"{}")
    assert silence.value.phase == "connect"
    receiver = "the receiver of order events at 127.0.0.1"
    assert f"{receiver} does not answer (connect): Failed to connect" in caplog.text


def test_cause_is_logged_once_for_each_change(caplog: pytest.LogCaptureFixture) -> None:
    def cut(peer: socket.socket) -> None:
        peer.close()

    with caplog.at_level(logging.INFO), ScriptedServer(cut) as server:
        now = [100.0]
        shop = ShopListener(server.url, ["a"], monotonic=lambda: now[0])
        for _ in range(3):
            with pytest.raises(NotAnswered, match="Empty reply from server"):
                shop(b"{}")
        server.answer = say(OK)
        now[0] += QUIET_SECONDS
        assert [shop(b"{}") for _ in range(3)] == [200] * 3
    lines = [record.getMessage() for record in caplog.records]
    assert lines == [
        "the receiver of order events at localhost does not answer (wait): Empty reply from server",
        "the receiver of order events at localhost answers again",
    ]
