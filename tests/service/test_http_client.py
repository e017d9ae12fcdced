"""Each send meets its deadline against any server, and tells what may have been sent."""

from __future__ import annotations

import gc
import math
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pycurl
import pytest
import responses
from requests.exceptions import ConnectionError as Lost

from payment_service.background.receivers import receivers_of
from payment_service.background.start import open_delivery
from payment_service.gateways.stripe.opening import open_transport
from payment_service.http_client import connection
from payment_service.http_client.client import HttpClient, Network
from payment_service.http_client.connection import Response
from payment_service.http_client.failures import HttpFailure, NeverSent
from payment_service.key_store.contract import Order
from payment_service.payments.shop_events.outbox import NotAnswered
from payment_service.schema.secret import Secret
from payment_service.settings import load_settings
from tests.support.connect_proxy import ConnectProxy
from tests.support.flow_bench import FlowBench
from tests.support.scripted_server import CERTIFICATE, OK, Answer, ScriptedServer, say

HEADERS = {"Authorization": "Bearer sk_test_x", "Idempotency-Key": "key-1"}
BODY = b"amount=1099&currency=usd"

LONG = b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n"
CLOSING = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"

# Allowance for a busy machine, far below the read time-out of ten seconds.
LATE_SECONDS = 1.0


# Python 3.12 and later warn of every fork of a process with threads, as this test's is.
forks = pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")


def client(
    connect: float = 3.0,
    read: float = 10.0,
    *,
    options: dict[int, Any] | None = None,
    **network: Any,
) -> HttpClient:
    way = Network(**{"ca_bundle": str(CERTIFICATE), **network})
    return HttpClient(
        connect_seconds=connect, read_seconds=read, keep=16, network=way, options=options
    )


def post(http: HttpClient, url: str, ends_at: float = math.inf) -> tuple[str, int]:
    answer = http.send("POST", f"{url}/v1/payment_intents", HEADERS, BODY, ends_at)
    return answer.body.decode(), answer.status


def failure(http: HttpClient, url: str, seconds: float = 0.3) -> HttpFailure:
    """Send with a deadline, and assert that it fails by then."""
    began = time.monotonic()
    with pytest.raises(HttpFailure) as raised:
        post(http, url, began + seconds)
    assert time.monotonic() - began < max(0.0, seconds) + LATE_SECONDS
    return raised.value


def answer_to(data: bytes, url: str = "/v1/x") -> Response:
    """Return what the client makes of an answer after which the server closes the connection."""

    def answer(peer: socket.socket) -> None:
        peer.sendall(data)
        peer.close()

    with ScriptedServer(answer) as server:
        return client().send("GET", f"{server.url}{url}", {})


# Requests and answers.


def test_request_arrives_as_it_was_made() -> None:
    with ScriptedServer() as server:
        answer = client().send("POST", f"{server.url}/v1/x?y=%20z", HEADERS, BODY)
    head, _, body = server.requests[0].partition(b"\r\n\r\n")
    assert (answer.body, answer.status, answer.headers["request-id"]) == (b"{}", 200, "req_1")
    assert head.startswith(b"POST /v1/x?y=%20z HTTP/1.1\r\n")
    assert b"\r\nIdempotency-Key: key-1" in head
    assert b"\r\nUser-Agent: stripe-back-end-api/" in head
    assert b"Accept-Encoding" not in head
    assert body == BODY


def test_get_has_no_body() -> None:
    with ScriptedServer() as server:
        http = client()
        post(http, server.url)
        http.send("GET", f"{server.url}/v1/x", HEADERS)
    assert b"Content-Length" not in server.requests[1]
    assert b"Content-Type" not in server.requests[1]


def test_long_body_is_sent_at_once() -> None:
    with ScriptedServer() as server:
        client().send("POST", server.url, {}, b"x" * 2_000_000)
    assert b"Expect" not in server.requests[0][:500]
    assert len(server.requests[0]) > 2_000_000


@pytest.mark.parametrize("value", ["a\r\nX: b", "a\nX: b", "a\nb", "a\x00", "\u00fc"])
def test_header_cannot_inject_a_line(value: str) -> None:
    with ScriptedServer() as server, pytest.raises(ValueError, match="header"):
        client().send("POST", server.url, {"Idempotency-Key": value}, BODY)
    assert server.requests == []


@pytest.mark.parametrize(
    ("data", "status", "body"),
    [
        (OK, 200, b"{}"),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\n{}", 200, b"{}"),
        (b"HTTP/1.1 425 Too Early\r\nContent-Length: 0\r\n\r\n", 425, b""),
        (b"HTTP/1.1 204 No Content\r\n\r\n", 204, b""),
        (b"HTTP/1.1 100 Continue\r\nA: b\r\n\r\n" + OK, 200, b"{}"),
        (b"HTTP/1.1 103 Early Hints\r\nRequest-Id: early\r\n\r\n" + OK, 200, b"{}"),
        (b"HTTP/1.1 200 OK\r\nRequest-Id: req_1\r\nTransfer-Encoding: chunked\r\n\r\n"
         b"1;a=b\r\n{\r\n1\r\n}\r\n0\r\nRequest-Id: late\r\n\r\n", 200, b"{}"),
    ],
)  # fmt: skip
def test_answer_is_parsed(data: bytes, status: int, body: bytes) -> None:
    answer = answer_to(data)
    assert (answer.status, answer.body) == (status, body)
    assert answer.headers.get("request-id") in (None, "req_1")
    assert "a" not in answer.headers


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"<html>",
        b"HTTP/1.1 200 OK",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-2\r\n{}\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * 1_000_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 100_000 + b"\r\n",
    ],
)
def test_malformed_answer_is_a_failure(data: bytes) -> None:
    with pytest.raises(HttpFailure) as raised:
        answer_to(data)
    assert not isinstance(raised.value, NeverSent)


@pytest.mark.parametrize(
    "head", [b"Content-Length: %d\r\n\r\n", b"Connection: close\r\nX: %d\r\n\r\n"]
)
def test_size_of_an_answer_is_bounded(head: bytes) -> None:
    size = 2_000_000
    whole = b"HTTP/1.1 200 OK\r\n" + head % size + b"x" * size
    http = client(options={pycurl.MAXFILESIZE: size - 1})

    def answer(peer: socket.socket) -> None:
        peer.sendall(whole)
        peer.close()

    with ScriptedServer(answer) as server:
        with pytest.raises(HttpFailure, match="file size"):
            post(http, server.url)
        assert post(client(), server.url)[0] == "x" * size


def test_redirect_is_returned_and_not_followed() -> None:
    moved = b"HTTP/1.1 307 Moved\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n"
    with ScriptedServer(say(moved)) as server:
        assert post(client(), server.url) == ("", 307)
    assert len(server.requests) == 1


def test_netrc_does_not_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".netrc").write_text("default login me password secret\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    with ScriptedServer() as server:
        client().send("POST", server.url, {}, BODY)
    assert b"Authorization" not in server.requests[0]


# The end of a send.


@pytest.mark.parametrize("tls", [False, True])
def test_dribbled_head_ends_at_the_deadline(tls: bool) -> None:
    with ScriptedServer(tls=tls) as server:
        server.answer = server.dribble(b"X: y\r\n" * 1000, after=b"HTTP/1.1 200 OK\r\n")
        failed = failure(client(), server.url)
    assert (type(failed), failed.phase) == (HttpFailure, "read")


@pytest.mark.parametrize("tls", [False, True])
def test_dribbled_body_ends_at_the_deadline(tls: bool) -> None:
    with ScriptedServer(tls=tls) as server:
        server.answer = server.dribble(b" " * 1000, after=LONG)
        failed = failure(client(), server.url)
    assert (type(failed), failed.phase) == (HttpFailure, "read")


def test_dribbled_chunked_body_ends_at_the_deadline() -> None:
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    with ScriptedServer() as server:
        server.answer = server.dribble(b"1\r\nx\r\n" * 1000, after=chunked)
        failure(client(), server.url)


def test_body_without_a_length_ends_at_the_deadline() -> None:
    with ScriptedServer() as server:
        server.answer = server.dribble(b" " * 1000, after=CLOSING)
        failure(client(), server.url)


def test_endless_interim_answers_end_at_the_deadline() -> None:
    with ScriptedServer() as server:
        server.answer = server.dribble(b"HTTP/1.1 103 Early\r\n\r\n" * 1000)
        failure(client(), server.url)


@pytest.mark.parametrize("tls", [False, True])
def test_silence_ends_at_the_deadline(tls: bool) -> None:
    with ScriptedServer(tls=tls) as server:
        server.answer = server.dribble(b"")
        failed = failure(client(), server.url)
    assert (type(failed), failed.phase) == (HttpFailure, "wait")


def test_time_outs_bound_the_whole_answer() -> None:
    with ScriptedServer() as server:
        server.answer = server.dribble(OK)
        began = time.monotonic()
        with pytest.raises(HttpFailure):
            post(client(connect=0.1, read=0.2), server.url)
    assert time.monotonic() - began < 0.3 + LATE_SECONDS


def test_kept_connection_has_the_time_to_read_only() -> None:
    http = client(connect=30.0, read=0.2)
    with ScriptedServer() as server:
        post(http, server.url)
        server.answer = server.dribble(OK)
        began = time.monotonic()
        with pytest.raises(HttpFailure):
            post(http, server.url)
    assert time.monotonic() - began < 0.2 + LATE_SECONDS


def test_dribbled_handshake_ends_at_the_deadline_unsent() -> None:
    with ScriptedServer() as server:

        def dribble(peer: socket.socket) -> None:
            # The TLS record announces more bytes than follow.
            peer.sendall(b"\x16\x03\x03\x40\x00")
            server.dribble(b"\x02" * 1000)(peer)

        with _Raw(dribble, server.ended) as raw:
            failed = failure(client(), f"https://localhost:{raw.port}")
    assert (type(failed), failed.phase) == (NeverSent, "tls")


def test_stalled_connect_ends_at_the_deadline_unsent() -> None:
    with full_listener() as port:
        failed = failure(client(), f"http://127.0.0.1:{port}")
    assert (type(failed), failed.phase) == (NeverSent, "connect")


def test_connect_time_out_applies_without_a_deadline() -> None:
    with full_listener() as port:
        began = time.monotonic()
        with pytest.raises(NeverSent):
            post(client(connect=0.2), f"http://127.0.0.1:{port}")
    assert time.monotonic() - began < 0.2 + LATE_SECONDS


def test_refused_connection_sent_nothing() -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        failed = failure(client(), f"http://127.0.0.1:{nobody.getsockname()[1]}")
    assert (type(failed), failed.phase) == (NeverSent, "connect")


def test_unknown_host_sent_nothing() -> None:
    failed = failure(client(), "http://stripe.invalid", 5.0)
    assert (type(failed), failed.phase) == (NeverSent, "lookup")
    assert "stripe.invalid" in str(failed)


def test_past_deadline_sends_nothing() -> None:
    with ScriptedServer() as server:
        failed = failure(client(), server.url, -1.0)
    assert (type(failed), failed.phase) == (NeverSent, "deadline")
    assert server.connections == 0


SLOW_NAMES = """
#include <netdb.h>
#include <unistd.h>
int getaddrinfo(const char *n, const char *s, const struct addrinfo *h, struct addrinfo **r)
{ sleep(60); return EAI_AGAIN; }
"""

LOOK_UP = """
import time
from payment_service.http_client.client import HttpClient
from payment_service.http_client.failures import NeverSent
began = time.monotonic()
http = HttpClient(connect_seconds=0.3, read_seconds=9, keep=1)
for _ in range(2):
    try:
        http.send("GET", "http://stripe.example/", {})
    except NeverSent as failed:
        print(failed.phase)
http.close()
print(time.monotonic() - began < 3, flush=True)
"""


def test_silent_name_server_ends_at_the_deadline_unsent(tmp_path: Path) -> None:
    compiler = shutil.which("cc")
    if compiler is None or sys.platform != "linux":
        pytest.skip("no C compiler to replace getaddrinfo")
    (tmp_path / "slow.c").write_text(SLOW_NAMES)
    library = str(tmp_path / "slow.so")
    subprocess.run(
        [compiler, "-shared", "-fPIC", "-o", library, str(tmp_path / "slow.c")], check=True
    )
    environ = {**os.environ, "LD_PRELOAD": library}
    running = subprocess.Popen(
        [sys.executable, "-c", LOOK_UP], env=environ, stdout=subprocess.PIPE, text=True
    )
    assert running.stdout is not None
    with running:
        said = [running.stdout.readline().strip() for _ in range(3)]
        running.kill()
    assert said == ["lookup", "lookup", "True"]


def test_dead_first_address_costs_a_fraction_of_a_second() -> None:
    with ScriptedServer() as server, full_listener("127.0.0.2", server.port):
        names = [f"stripe.test:{server.port}:127.0.0.2,127.0.0.1"]
        began = time.monotonic()
        answer = post(client(options={pycurl.RESOLVE: names}), f"http://stripe.test:{server.port}")
    assert answer == ("{}", 200)
    assert time.monotonic() - began < 1.0


# Whether and how often a request was sent.


@pytest.mark.parametrize("tls", [False, True])
def test_truncated_answer_means_maybe_executed(tls: bool) -> None:
    def cut(peer: socket.socket) -> None:
        peer.sendall(LONG)
        peer.close()

    with ScriptedServer(cut, tls=tls) as server:
        failed = failure(client(), server.url, 5.0)
    assert (type(failed), failed.phase) == (HttpFailure, "read")


@pytest.mark.parametrize("tls", [False, True])
def test_connection_closed_without_an_answer_is_not_retried(tls: bool) -> None:
    with ScriptedServer(lambda peer: peer.close(), tls=tls) as server:
        failed = failure(client(), server.url, 5.0)
    assert (type(failed), failed.phase) == (HttpFailure, "wait")
    assert len(server.requests) == 1


def reset(peer: socket.socket) -> None:
    """Close with a RST instead of a FIN."""
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
    peer.close()


@pytest.mark.parametrize("tls", [False, True])
@pytest.mark.parametrize("end", [lambda peer: peer.close(), reset])
def test_kept_connection_closed_mid_request_is_not_retried(end: Answer, tls: bool) -> None:
    """By itself libcurl would silently send again on a new connection."""
    with ScriptedServer(tls=tls) as server:
        http = client()
        post(http, server.url)
        server.answer = end
        failed = failure(http, server.url, 5.0)
        assert (type(failed), failed.phase) == (HttpFailure, "wait")
    assert len(server.requests) == 2


@pytest.mark.parametrize("tls", [False, True])
def test_closed_idle_connection_is_replaced(tls: bool) -> None:
    closed = threading.Event()

    def answer_and_close(peer: socket.socket) -> None:
        peer.sendall(OK)
        peer.close()
        closed.set()

    with ScriptedServer(answer_and_close, tls=tls) as server:
        http = client()
        for _ in range(3):
            closed.clear()
            assert post(http, server.url) == ("{}", 200)
            assert closed.wait(5)
    assert server.connections == len(server.requests) == 3


def test_old_idle_connection_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    http = client()
    with ScriptedServer() as server:
        post(http, server.url)
        monkeypatch.setattr(connection, "IDLE_SECONDS", -1.0)
        post(http, server.url)
        assert server.connections == 2


def test_connections_of_a_peak_are_closed_when_they_are_old(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    http, all_are_here = client(), threading.Barrier(4)

    def answer_together(peer: socket.socket) -> None:
        all_are_here.wait(5)
        peer.sendall(OK)

    with ScriptedServer(answer_together) as server, ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda _: post(http, server.url), range(4)))
        server.answer = say(OK)
        assert server.closed == 0
        monkeypatch.setattr(connection, "IDLE_SECONDS", -1.0)
        for _ in range(4):
            post(http, server.url)
        wait_until(lambda: server.closed >= 4)


# The answer to one request is never that to another.


SECOND = b'HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n"evil"'


@pytest.mark.parametrize("tls", [False, True])
@pytest.mark.parametrize("more", [SECOND, b"\r\n", b"x", SECOND * 1000])
def test_extra_bytes_after_an_answer_close_the_connection(more: bytes, tls: bool) -> None:
    http = client()
    with ScriptedServer(say(OK + more), tls=tls) as server:
        assert [post(http, server.url) for _ in range(3)] == [("{}", 200)] * 3
        assert server.connections == 3


@pytest.mark.parametrize("tls", [False, True])
def test_late_extra_bytes_close_the_connection(tls: bool) -> None:
    http, spoken = client(), threading.Event()

    def answer_twice(peer: socket.socket) -> None:
        peer.sendall(OK)
        answered.wait(5)
        peer.sendall(SECOND)
        spoken.set()

    answered = threading.Event()
    with ScriptedServer(answer_twice, tls=tls) as server:
        assert post(http, server.url) == ("{}", 200)
        answered.set()
        assert spoken.wait(5)
        server.answer = say(OK)
        assert post(http, server.url) == ("{}", 200)
        assert server.connections == 2


@pytest.mark.parametrize("tls", [False, True])
def test_extra_answer_in_the_same_packet_is_never_returned(tls: bool) -> None:
    """Within TLS it is a record that OpenSSL has already read: the socket looks empty."""

    def answer_twice(peer: socket.socket) -> None:
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 1)
        peer.sendall(OK)
        peer.sendall(SECOND)
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 0)

    http = client()
    with ScriptedServer(answer_twice, tls=tls) as server:
        for _ in range(10):
            # A failure is the other correct end, within TLS.
            with suppress(HttpFailure):
                assert post(http, server.url) == ("{}", 200)


def test_answer_to_the_last_request_is_not_that_to_this_one() -> None:
    """As above, with a server that takes some time, as all servers do."""

    def answer_twice(peer: socket.socket) -> None:
        time.sleep(0.05)
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 1)
        peer.sendall(OK)
        peer.sendall(SECOND)
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 0)

    http = client()
    with ScriptedServer(answer_twice, tls=True) as server:
        assert post(http, server.url) == ("{}", 200)
        failed = failure(http, server.url, 5.0)
        assert "before it had the request" in str(failed)
        assert server.connections == 1


@pytest.mark.parametrize("status", [408, 421])
def test_edge_rejection_changes_the_connection(status: int) -> None:
    http = client()
    turned_away = f"HTTP/1.1 {status} No\r\nContent-Length: 0\r\n\r\n".encode()
    with ScriptedServer(say(turned_away)) as server:
        assert post(http, server.url) == ("", status)
        server.answer = say(OK)
        assert post(http, server.url) == ("{}", 200)
        assert server.connections == 2


def test_answer_with_two_ends_changes_the_connection() -> None:
    http = client()
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n"
    with ScriptedServer(say(head + b"2\r\n{}\r\n0\r\n\r\n")) as server:
        assert [post(http, server.url) for _ in range(2)] == [("{}", 200)] * 2
        assert server.connections == 2


# Connections.


def test_threads_share_connections() -> None:
    with ScriptedServer() as server, ThreadPoolExecutor(8) as threads:
        http = client()
        for _ in range(5):
            answers = list(threads.map(lambda _: post(http, server.url), range(8)))
            assert answers == [("{}", 200)] * 8
    assert len(server.requests) == 40
    assert server.connections <= 8


def test_connection_opened_after_a_failure_is_kept() -> None:
    with ScriptedServer() as server:
        http = client()
        server.answer = server.dribble(OK)
        failure(http, server.url, 0.1)
        server.answer = say(OK)
        assert post(http, server.url) == ("{}", 200)
        assert post(http, server.url) == ("{}", 200)
    assert server.connections == 2


def test_tls_connections_are_kept() -> None:
    with ScriptedServer(tls=True) as server:
        http = client()
        assert [post(http, server.url) for _ in range(3)] == [("{}", 200)] * 3
    assert server.connections == 1


@forks
@pytest.mark.parametrize("tls", [False, True])
def test_child_process_leaves_its_parents_connection_alone(tls: bool) -> None:
    http = client()
    with ScriptedServer(tls=tls) as server:
        post(http, server.url)
        assert_in_child(lambda: post(http, server.url) == ("{}", 200))
        assert server.connections == 2
        assert post(http, server.url) == ("{}", 200)
        assert server.connections == 2


@forks
def test_child_process_never_frees_its_parents_handles() -> None:
    """libcurl would join the threads of a slow look-up, which do not survive the fork."""
    http = client()
    with ScriptedServer() as server:
        post(http, server.url)
        handles = count_handles()
        assert_in_child(lambda: count_handles() == handles)


def count_handles() -> int:
    gc.collect()
    return sum(isinstance(each, pycurl.Curl) for each in gc.get_objects())


def assert_in_child(holds: Callable[[], bool]) -> None:
    child = os.fork()
    if child == 0:
        ended = 1
        try:
            ended = 0 if holds() else 1
            gc.collect()
        finally:
            os._exit(ended)
    assert os.waitpid(child, 0)[1] == 0


# Certificates.


def test_unknown_authority_is_rejected_unsent() -> None:
    with ScriptedServer(tls=True) as server:
        failed = failure(client(ca_bundle=None), server.url, 5.0)
        assert server.requests == []
    assert (type(failed), failed.phase) == (NeverSent, "tls")
    assert "certificate" in str(failed)


def test_certificate_of_another_host_is_rejected() -> None:
    with ScriptedServer(tls=True) as server:
        failed = failure(client(), server.url.replace("localhost", "127.0.0.1"), 5.0)
        assert server.requests == []
    assert (type(failed), failed.phase) == (NeverSent, "tls")
    assert "127.0.0.1" in str(failed)


# Proxies.


def through(proxy: ConnectProxy, server: ScriptedServer, **network: Any) -> HttpClient:
    """A client for which https://localhost is a host far away, because loopback has no proxy."""
    options = {pycurl.NOPROXY: network.pop("no_proxy", "")}
    return client(options=options, https_proxy=Secret(proxy.url), **network)


def test_https_goes_through_the_proxy_with_authentication() -> None:
    with ScriptedServer(tls=True) as server, ConnectProxy("user", "p@ss") as proxy:
        http = through(proxy, server)
        assert [post(http, server.url) for _ in range(2)] == [("{}", 200)] * 2
    assert proxy.tunnels == [f"localhost:{server.port}"]
    assert b"Proxy-Authorization" not in server.requests[0]
    assert server.connections == 1


def test_refusal_of_the_proxy_is_named_unsent() -> None:
    with ScriptedServer(tls=True) as server, ConnectProxy("user", "right") as proxy:
        wrong = Secret(proxy.url.replace("right", "wrong"))
        http = client(https_proxy=wrong, options={pycurl.NOPROXY: ""})
        failed = failure(http, server.url, 5.0)
    assert (type(failed), failed.phase) == (NeverSent, "proxy")
    assert "407" in str(failed)
    assert "wrong" not in str(failed)


def test_silent_proxy_is_named_unsent() -> None:
    over = threading.Event()

    def wait(_: socket.socket) -> None:
        over.wait()

    with _Raw(wait, over) as raw:
        proxy = Secret(f"http://127.0.0.1:{raw.port}")
        failed = failure(client(https_proxy=proxy), "https://stripe.example")
    assert (type(failed), failed.phase) == (NeverSent, "proxy")


@pytest.mark.parametrize("no_proxy", ["*", "stripe.test", ".test", "other.example, stripe.test"])
def test_hosts_of_no_proxy_are_called_directly(no_proxy: str) -> None:
    with ScriptedServer() as server, ConnectProxy() as proxy:
        names = [f"stripe.test:{server.port}:127.0.0.1"]
        http = client(
            https_proxy=Secret(proxy.url), no_proxy=no_proxy, options={pycurl.RESOLVE: names}
        )
        failed = failure(http, f"https://stripe.test:{server.port}")
    # The plain server does not speak TLS: it was reached.
    assert failed.phase == "tls"
    assert proxy.tunnels == []


def test_loopback_has_no_proxy() -> None:
    with ScriptedServer(tls=True) as server, ConnectProxy() as proxy:
        assert post(client(https_proxy=Secret(proxy.url)), server.url) == ("{}", 200)
    assert proxy.tunnels == []


def test_settings_apply_to_stripe_and_to_the_shop() -> None:
    with ConnectProxy() as proxy:
        settings = load_settings(
            {
                "STRIPE_SECRET_KEY": "sk_test_x",
                "ORDER_EVENTS_URL": "https://shop.invalid/events",
                "ORDER_EVENTS_SECRET": "whsec_x",
                "HTTPS_PROXY": proxy.url,
            }
        )
        failure(open_transport(settings), "https://stripe.invalid", 5.0)
        payments: Any = SimpleNamespace(orders=SimpleNamespace(context=FlowBench().context))
        loop: Any = open_delivery(settings, payments, receivers_of(settings, None))
        with pytest.raises(NotAnswered, match="Proxy CONNECT aborted"):
            loop._job.post(Order(False, None, "A-1"), b"{}")
    assert proxy.tunnels == ["stripe.invalid:443", "shop.invalid:443"]


def test_plain_http_has_no_proxy() -> None:
    with ScriptedServer() as server, ConnectProxy() as proxy:
        names = [f"stripe.test:{server.port}:127.0.0.1"]
        http = client(https_proxy=Secret(proxy.url), options={pycurl.RESOLVE: names})
        assert post(http, f"http://stripe.test:{server.port}") == ("{}", 200)
        failed = failure(http, f"https://stripe.test:{server.port}")
    assert failed.phase == "proxy"
    assert proxy.tunnels == [f"stripe.test:{server.port}"]


def test_environment_of_the_process_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    with ScriptedServer() as server, ConnectProxy() as proxy:
        for name in ("http_proxy", "https_proxy", "all_proxy", "HTTPS_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url)
        names = [f"stripe.test:{server.port}:127.0.0.1"]
        http = client(options={pycurl.RESOLVE: names})
        assert post(http, f"http://stripe.test:{server.port}") == ("{}", 200)
        failure(http, f"https://stripe.test:{server.port}")
    assert proxy.tunnels == []


# The seam for tests.


def test_responses_library_can_replace_the_server() -> None:
    with responses.RequestsMock() as mock:
        mock.post("https://api.stripe.com/v1/payment_intents", json={"id": "pi_1"}, status=200)
        assert post(client(), "https://api.stripe.com") == ('{"id": "pi_1"}', 200)
        request = mock.calls[0].request
    assert request.body == BODY.decode()
    assert request.headers["IDEMPOTENCY-key"] == "key-1"


def test_error_raised_by_responses_means_maybe_executed() -> None:
    with responses.RequestsMock() as mock:
        mock.post("https://api.stripe.com/v1/payment_intents", body=Lost("lost"))
        with pytest.raises(HttpFailure) as raised:
            post(client(), "https://api.stripe.com")
    assert not isinstance(raised.value, NeverSent)


def test_inactive_mock_answers_nothing() -> None:
    with responses.RequestsMock() as mock:
        mock.assert_all_requests_are_fired = False
    with ScriptedServer() as server:
        assert post(client(), server.url) == ("{}", 200)


def wait_until(happened: Callable[[], bool]) -> None:
    until = time.monotonic() + 5.0
    while not happened():
        assert time.monotonic() < until
        time.sleep(0.01)


@contextmanager
def full_listener(host: str = "127.0.0.1", port: int = 0) -> Iterator[int]:
    """A listener that never accepts, with a full queue: a connection to it stays half open."""
    with socket.socket() as full:
        full.bind((host, port))
        full.listen(0)
        waiting = [_start_connecting(full.getsockname()) for _ in range(4)]
        yield full.getsockname()[1]
        for each in waiting:
            each.close()


def _start_connecting(address: tuple[str, int]) -> socket.socket:
    sock = socket.socket()
    sock.setblocking(False)
    sock.connect_ex(address)
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
