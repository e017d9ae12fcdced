"""The transport meets its deadline against any server, and reports what may have been sent."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import responses
import stripe
from requests.exceptions import ConnectionError as Lost

from payment_service.gateways.stripe.http.resolver import Resolver
from payment_service.gateways.stripe.http.transport import NeverSent, SharedTransport
from tests.support.scripted_server import CERTIFICATE, OK, ScriptedServer, say

HEADERS = {"Authorization": "Bearer sk_test_x", "Idempotency-Key": "key-1"}
BODY = "amount=1099&currency=usd"

LONG = b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n"
CLOSING = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"

# Allowance for a busy machine, far below the read time-out of ten seconds.
LATE_SECONDS = 1.0


def transport(
    connect: float = 3.0, read: float = 10.0, ca_bundle: str | None = str(CERTIFICATE)
) -> SharedTransport:
    return SharedTransport(
        connect_timeout_seconds=connect,
        read_timeout_seconds=read,
        pool_size=16,
        ca_bundle=ca_bundle,
    )


def post(client: SharedTransport, url: str) -> tuple[str, int]:
    content, status, _ = client.request("post", f"{url}/v1/payment_intents", HEADERS, BODY)
    return _text(content), status


def _text(content: Any) -> str:
    """Decode the content: the SDK accepts bytes as well, contrary to its types."""
    return bytes(content).decode()


def failure(client: SharedTransport, url: str, seconds: float = 0.3) -> stripe.APIConnectionError:
    """Send with a limit, and assert that it fails within the limit."""
    began = time.monotonic()
    with client.limit(began + seconds), pytest.raises(stripe.APIConnectionError) as raised:
        post(client, url)
    assert time.monotonic() - began < max(0.0, seconds) + LATE_SECONDS
    return raised.value


def test_request_arrives_as_the_sdk_made_it() -> None:
    with ScriptedServer() as server:
        content, status, headers = transport().request(
            "post", f"{server.url}/v1/x?y=%20z", HEADERS, BODY
        )
    head, _, body = server.requests[0].decode().partition("\r\n\r\n")
    assert (_text(content), status, headers["request-id"]) == ("{}", 200, "req_1")
    assert head.startswith("POST /v1/x?y=%20z HTTP/1.1\r\n")
    assert "Idempotency-Key: key-1" in head
    assert "Accept-Encoding: identity" in head
    assert body == BODY


@responses.activate
def test_headers_are_case_insensitive_for_mocks() -> None:
    responses.post("https://api.stripe.com/v1/x", json={})
    transport().request("post", "https://api.stripe.com/v1/x", HEADERS, BODY)
    sent = responses.calls[0].request.headers
    assert (
        sent["idempotency-KEY"] == sent["Idempotency-Key"] == sent.get("IDEMPOTENCY-key") == "key-1"
    )
    assert "accept-encoding" in sent
    assert "x-other" not in sent
    with pytest.raises(KeyError):
        sent["X-Other"]


def test_get_has_no_body() -> None:
    with ScriptedServer() as server:
        transport().request("get", f"{server.url}/v1/x", HEADERS)
    assert b"Content-Length" not in server.requests[0]


@pytest.mark.parametrize("tls", [False, True])
def test_dribbled_head_ends_at_the_limit(tls: bool) -> None:
    with ScriptedServer(tls=tls) as server:
        server.answer = server.dribble(b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 1000)
        assert not isinstance(failure(transport(), server.url), NeverSent)


@pytest.mark.parametrize("tls", [False, True])
def test_dribbled_body_ends_at_the_limit(tls: bool) -> None:
    with ScriptedServer(tls=tls) as server:
        server.answer = server.dribble(b" " * 1000, after=LONG)
        assert not isinstance(failure(transport(), server.url), NeverSent)


def test_dribbled_chunked_body_ends_at_the_limit() -> None:
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    with ScriptedServer() as server:
        server.answer = server.dribble(b"1\r\nx\r\n" * 1000, after=chunked)
        failure(transport(), server.url)


def test_body_without_a_length_ends_at_the_limit() -> None:
    with ScriptedServer() as server:
        server.answer = server.dribble(b" " * 1000, after=CLOSING)
        failure(transport(), server.url)


def test_silence_ends_at_the_limit() -> None:
    with ScriptedServer() as server:
        server.answer = server.dribble(b"", after=b"")
        assert not isinstance(failure(transport(), server.url), NeverSent)


def test_read_time_out_bounds_the_whole_response() -> None:
    with ScriptedServer() as server:
        server.answer = server.dribble(OK)
        began = time.monotonic()
        with pytest.raises(stripe.APIConnectionError):
            post(transport(read=0.3), server.url)
    assert time.monotonic() - began < 0.3 + LATE_SECONDS


def test_dribbled_handshake_ends_at_the_limit_unsent() -> None:
    with ScriptedServer() as server:

        def dribble(peer: socket.socket) -> None:
            # The TLS record announces more bytes than follow.
            peer.sendall(b"\x16\x03\x03\x40\x00")
            server.dribble(b"\x02" * 1000)(peer)

        with _Raw(dribble, server.ended) as raw:
            assert isinstance(failure(transport(), f"https://localhost:{raw.port}"), NeverSent)


def test_stalled_connect_ends_at_the_limit_unsent() -> None:
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        port = full.getsockname()[1]
        waiting = [_start_connecting(port) for _ in range(4)]
        assert isinstance(failure(transport(), f"http://127.0.0.1:{port}"), NeverSent)
        for each in waiting:
            each.close()


def test_connect_time_out_applies_without_a_limit() -> None:
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        port = full.getsockname()[1]
        waiting = [_start_connecting(port) for _ in range(4)]
        began = time.monotonic()
        with pytest.raises(NeverSent):
            post(transport(connect=0.2), f"http://127.0.0.1:{port}")
        assert time.monotonic() - began < 0.2 + LATE_SECONDS
        for each in waiting:
            each.close()


def test_refused_connection_sent_nothing() -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        assert isinstance(
            failure(transport(), f"http://127.0.0.1:{nobody.getsockname()[1]}"), NeverSent
        )


def test_unknown_host_sent_nothing() -> None:
    assert isinstance(failure(transport(), "http://stripe.invalid", 5.0), NeverSent)


def test_expired_deadline_sends_nothing() -> None:
    with ScriptedServer() as server:
        assert isinstance(failure(transport(), server.url, -1.0), NeverSent)
    assert server.connections == 0


@pytest.mark.parametrize("tls", [False, True])
def test_truncated_response_means_maybe_executed(tls: bool) -> None:
    def cut(peer: socket.socket) -> None:
        peer.sendall(LONG)
        peer.close()

    with ScriptedServer(cut, tls=tls) as server:
        assert not isinstance(failure(transport(), server.url, 5.0), NeverSent)


def test_connection_closed_without_a_response_is_not_retried() -> None:
    with ScriptedServer(lambda peer: peer.close()) as server:
        assert not isinstance(failure(transport(), server.url, 5.0), NeverSent)
    assert len(server.requests) == 1


def test_kept_connection_closed_mid_request_is_not_retried() -> None:
    with ScriptedServer() as server:
        client = transport()
        post(client, server.url)
        server.answer = lambda peer: peer.close()
        assert not isinstance(failure(client, server.url, 5.0), NeverSent)
    assert (server.connections, len(server.requests)) == (1, 2)


def test_closed_idle_connection_is_replaced() -> None:
    closed = threading.Event()

    def answer_and_close(peer: socket.socket) -> None:
        peer.sendall(OK)
        peer.close()
        closed.set()

    with ScriptedServer(answer_and_close) as server:
        client = transport()
        post(client, server.url)
        assert closed.wait(5)
        assert post(client, server.url) == ("{}", 200)
    assert server.connections == 2


SECOND = b'HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n"evil"'


@pytest.mark.parametrize("tls", [False, True])
@pytest.mark.parametrize("more", [SECOND, b"\r\n", b"x", SECOND * 1000])
def test_extra_bytes_after_a_response_close_the_connection(more: bytes, tls: bool) -> None:
    client = transport()
    with ScriptedServer(say(OK + more), tls=tls) as server:
        assert [post(client, server.url) for _ in range(3)] == [("{}", 200)] * 3
        assert server.connections == 3


@pytest.mark.parametrize("tls", [False, True])
def test_late_extra_bytes_close_the_connection(tls: bool) -> None:
    client, spoken = transport(), threading.Event()

    def answer_twice(peer: socket.socket) -> None:
        peer.sendall(OK)
        answered.wait(5)
        peer.sendall(SECOND)
        spoken.set()

    answered = threading.Event()
    with ScriptedServer(answer_twice, tls=tls) as server:
        assert post(client, server.url) == ("{}", 200)
        answered.set()
        assert spoken.wait(5)
        server.answer = say(OK)
        assert post(client, server.url) == ("{}", 200)
        assert server.connections == 2


@pytest.mark.parametrize("status", [408, 421])
def test_edge_rejection_changes_the_connection(status: int) -> None:
    client = transport()
    turned_away = f"HTTP/1.1 {status} No\r\nContent-Length: 0\r\n\r\n".encode()
    with ScriptedServer(say(turned_away)) as server:
        assert post(client, server.url) == ("", status)
        server.answer = say(OK)
        assert post(client, server.url) == ("{}", 200)
        assert server.connections == 2


def test_threads_share_connections() -> None:
    with ScriptedServer() as server, ThreadPoolExecutor(8) as threads:
        client = transport()
        for _ in range(5):
            answers = list(threads.map(lambda _: post(client, server.url), range(8)))
            assert answers == [("{}", 200)] * 8
    assert len(server.requests) == 40
    assert server.connections <= 8


def test_connection_opened_after_a_failure_is_kept() -> None:
    with ScriptedServer() as server:
        client = transport()
        server.answer = server.dribble(OK)
        failure(client, server.url, 0.1)
        server.answer = say(OK)
        assert post(client, server.url) == ("{}", 200)
        assert post(client, server.url) == ("{}", 200)
    assert server.connections == 2


def test_redirect_is_returned_and_not_followed() -> None:
    moved = b"HTTP/1.1 307 Moved\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n"
    with ScriptedServer(say(moved)) as server:
        assert post(transport(), server.url) == ("", 307)
    assert len(server.requests) == 1


def test_unknown_certificate_is_rejected_unsent() -> None:
    with ScriptedServer(tls=True) as server:
        refused = failure(transport(ca_bundle=None), server.url, 5.0)
    assert isinstance(refused, NeverSent)
    assert "certificate" in str(refused)
    assert server.requests == []


def test_certificate_of_another_host_is_rejected() -> None:
    with ScriptedServer(tls=True) as server:
        url = server.url.replace("localhost", "127.0.0.1")
        refused = failure(transport(), url, 5.0)
    assert isinstance(refused, NeverSent)
    assert "match" in str(refused)
    assert server.requests == []


def test_tls_connections_are_kept() -> None:
    with ScriptedServer(tls=True) as server:
        client = transport()
        assert [post(client, server.url) for _ in range(3)] == [("{}", 200)] * 3
    assert server.connections == 1


def test_inner_limit_ends_with_its_block() -> None:
    client = transport()
    with ScriptedServer() as server, client.limit(time.monotonic() + 60):
        with client.limit(time.monotonic() - 1), pytest.raises(NeverSent):
            post(client, server.url)
        assert post(client, server.url) == ("{}", 200)


def test_limit_is_reset_after_its_block() -> None:
    client = transport(connect=0.1, read=0.1)
    with ScriptedServer() as server:
        with client.limit(time.monotonic() + 60):
            post(client, server.url)
        time.sleep(0.25)
        assert post(client, server.url) == ("{}", 200)


def test_inner_limit_cannot_extend_the_outer_one() -> None:
    client = transport()
    past = time.monotonic() - 1
    with client.limit(past), client.limit(past + 60), pytest.raises(NeverSent):
        post(client, "http://127.0.0.1:9")


def test_limit_applies_to_its_thread_only() -> None:
    client = transport()
    past = time.monotonic() - 1
    with ScriptedServer() as server, ThreadPoolExecutor(1) as other, client.limit(past):
        assert other.submit(post, client, server.url).result() == ("{}", 200)


def test_responses_library_can_replace_stripe() -> None:
    with responses.RequestsMock() as mock:
        mock.post("https://api.stripe.com/v1/payment_intents", json={"id": "pi_1"}, status=200)
        assert post(transport(), "https://api.stripe.com") == ('{"id": "pi_1"}', 200)
        assert mock.calls[0].request.body == BODY


def test_error_raised_by_responses_means_maybe_executed() -> None:
    with responses.RequestsMock() as mock:
        mock.post("https://api.stripe.com/v1/payment_intents", body=Lost("lost"))
        with pytest.raises(stripe.APIConnectionError) as raised:
            post(transport(), "https://api.stripe.com")
    assert not isinstance(raised.value, NeverSent)


def test_the_sdk_works_on_it() -> None:
    intent = b'{"id": "pi_1", "object": "payment_intent"}'
    with ScriptedServer(say(OK.replace(b"Length: 2", b"Length: 42")[:-2] + intent)) as server:
        client = stripe.StripeClient(
            "sk_test_x",
            base_addresses={"api": server.url},
            http_client=transport(),
            max_network_retries=0,
        )
        made = client.v1.payment_intents.create({"amount": 1, "currency": "usd"})
    assert made.id == "pi_1"


def test_silent_name_server_ends_at_the_deadline() -> None:
    over = threading.Event()
    resolver = Resolver(lambda *_: over.wait() and [])
    with pytest.raises(TimeoutError):
        resolver.addresses("stripe.example", 443, 0.1)
    over.set()


def test_concurrent_look_ups_of_one_host_are_shared() -> None:
    asked: list[str] = []
    over = threading.Event()

    def look_up(host: str, *_: object) -> list[object]:
        asked.append(host)
        over.wait()
        return []

    resolver = Resolver(look_up)
    for _ in range(3):
        with pytest.raises(TimeoutError):
            resolver.addresses("a.example", 443, 0.01)
    over.set()
    assert asked == ["a.example"]


def test_failed_thread_start_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Otherwise this process could never resolve the host again."""
    resolver = Resolver(lambda *_: [])

    def full(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as machine:
        machine.setattr(threading.Thread, "start", full)
        with pytest.raises(OSError, match="can't start new thread"):
            resolver.addresses("stripe.example", 443, 1.0)
    assert resolver.addresses("stripe.example", 443, 1.0) == []


def _start_connecting(port: int) -> socket.socket:
    """Fill the queue of a listener that never accepts."""
    sock = socket.socket()
    sock.setblocking(False)
    sock.connect_ex(("127.0.0.1", port))
    return sock


class _Raw:
    """A listener that sends first, before any request."""

    def __init__(self, speak: Callable[[socket.socket], None], ended: threading.Event) -> None:
        self._speak, self._ended = speak, ended
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]

    def __enter__(self) -> _Raw:
        threading.Thread(target=self._serve, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._listener.close()

    def _serve(self) -> None:
        peer, _ = self._listener.accept()
        with peer:
            try:
                self._speak(peer)
            except OSError:
                return
