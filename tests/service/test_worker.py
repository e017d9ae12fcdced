"""Slow clients occupy no thread. Each test serves a small WSGI application with gunicorn."""

from __future__ import annotations

import http.client
import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

import psutil
import pytest
import requests

from payment_service.server.worker import ClientSocket, WebWorker
from tests.support.sandbox_process import ROOT, SandboxProcess
from tests.support.service_process import ServiceProcess, free_port

POST = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n"
GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"

# gunicorn_conf.py adds 32.
MAX_IN_FLIGHT, THREADS = 1, 33
PLACES = THREADS + 256


class Quick(WebWorker):
    """A worker that waits for a request for 0.5 s instead of seven, to keep the tests fast."""

    request_seconds = 0.5


class Patient(WebWorker):
    """A worker that waits for a request longer than a test lasts."""

    request_seconds = 60.0


class Hasty(ClientSocket):
    """A connection that waits for a reader for 0.1 s instead of five."""

    send_seconds = 0.1


def app(environ: dict[str, Any], start_response: Callable[..., object]) -> Iterable[bytes]:
    """Answer with the body's length, or fail if the path asks for it."""
    if environ["PATH_INFO"] == "/unanswered":
        raise RuntimeError("no answer")
    if environ["PATH_INFO"] == "/slow":
        time.sleep(1)
    if environ["PATH_INFO"] == "/refused":
        start_response("413 Content Too Large", [("Content-Length", "0")])
        return []
    if environ["SCRIPT_NAME"]:
        start_response("200 OK", [])
        return [environ["PATH_INFO"].encode()]
    try:
        body = str(len(environ["wsgi.input"].read())).encode()
    except OSError:
        body = b"incomplete"
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return broken(body) if environ["PATH_INFO"] == "/broken" else [body]


def broken(body: bytes) -> Iterator[bytes]:
    """Fail after a part of the response is sent."""
    yield body[:1]
    raise RuntimeError("half an answer")


@contextmanager
def served(worker: str = "Quick", **environ: str) -> Iterator[int]:
    """Serve `app` with one worker, and yield its port."""
    number = free_port()
    module = "tests.service.test_worker"
    process = subprocess.Popen(
        [sys.executable, "-m", "gunicorn", "-k", f"{module}.{worker}", f"{module}:app"],
        cwd=ROOT,
        env={
            "STRIPE_SECRET_KEY": "sk_test_x",
            # Nothing listens there: the start asks whether the key is right.
            "STRIPE_API_BASE": "http://127.0.0.1:1",
            "PORT": str(number),
            "WEB_CONCURRENCY": "1",
            "MAX_IN_FLIGHT": str(MAX_IN_FLIGHT),
            **environ,
        },
        stderr=subprocess.DEVNULL,
    )
    try:
        _wait_for(number)
        yield number
    except BaseException:
        process.kill()
        process.wait(10)
        raise
    process.terminate()
    assert process.wait(10) == 0


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with served() as number:
        yield number


def connect(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=10)


def answer(client: socket.socket) -> str:
    """Read one answer; return its body."""
    response = http.client.HTTPResponse(client)
    response.begin()
    return response.read().decode()


def seconds_of_an_answer(port: int) -> float:
    began = time.monotonic()
    assert requests.get(f"http://127.0.0.1:{port}/", timeout=10).text == "0"
    return time.monotonic() - began


@pytest.mark.alone
def test_silent_clients_take_no_thread(port: int) -> None:
    silent = [connect(port) for _ in range(3 * THREADS)]
    assert seconds_of_an_answer(port) < 0.4
    for each in silent:
        each.close()


def test_incomplete_request_times_out(port: int) -> None:
    with connect(port) as client:
        client.sendall(GET[:-2])
        began = time.monotonic()
        assert client.recv(1024) == b""
    assert 0.3 < time.monotonic() - began < 3


def test_dribbled_head_times_out(port: int) -> None:
    with connect(port) as client:
        assert _dribble(client, b"X: y\r\n" * 1000, after=GET[:-2]) < 3


def test_missing_body_frees_its_thread_and_is_not_taken_for_a_whole_one(port: int) -> None:
    with connect(port) as client:
        client.sendall(POST + b"12345")
        assert answer(client) == "incomplete"
        # Later bytes are the rest of the body, never a next request.
        with suppress(OSError):
            client.sendall(GET)
            assert client.recv(1024) == b""


def test_slow_clients_delay_others_by_one_time_out_at_most(port: int) -> None:
    slow = [connect(port) for _ in range(THREADS + 5)]
    for each in slow:
        each.sendall(GET[:-2])
    assert seconds_of_an_answer(port) < 3
    for each in slow:
        each.close()


@pytest.mark.alone
def test_excess_silent_clients_delay_no_request(port: int) -> None:
    with _renewed(port, 3 * PLACES, b""):
        assert max(seconds_of_an_answer(port) for _ in range(5)) < 1


@pytest.mark.alone
def test_idle_connections_make_room(port: int) -> None:
    with _renewed(port, 2 * PLACES, GET):
        assert max(seconds_of_an_answer(port) for _ in range(5)) < 1


def test_connections_that_were_all_busy_make_room_once_they_are_idle(port: int) -> None:
    busy = [connect(port) for _ in range(THREADS)]
    for each in busy:
        each.sendall(GET.replace(b" / ", b" /slow "))
    # The threads are busy, so these have sent their requests when the last one is accepted.
    while len(busy) < PLACES:
        busy.append(connect(port))
        busy[-1].sendall(GET)
    assert seconds_of_an_answer(port) < 8
    for each in busy:
        each.close()


@pytest.mark.alone
def test_incomplete_requests_delay_no_request() -> None:
    with served(worker="Patient") as port, _renewed(port, 3 * PLACES, POST + b"12345"):
        # Rejected clients that reconnect take most of a busy machine's time.
        assert max(seconds_of_an_answer(port) for _ in range(5)) < 3


@pytest.mark.alone
@pytest.mark.parametrize("says", [b"", POST + b"12345"])
def test_order_is_created_among_silent_clients(sandbox: SandboxProcess, says: bytes) -> None:
    environ = {"WEB_CONCURRENCY": "1", "MAX_IN_FLIGHT": str(MAX_IN_FLIGHT)}
    service = ServiceProcess(sandbox.url, environ)
    with service, _renewed(service.port, 3 * PLACES, says):
        began = time.monotonic()
        assert service.get("/healthz").status_code == 200
        assert service.create("among-silent-clients").status_code == 200
        assert time.monotonic() - began < 3


@pytest.mark.alone
def test_complete_request_keeps_its_connection() -> None:
    with served(worker="Patient") as port, connect(port) as client:
        client.sendall(GET.replace(b" / ", b" /slow "))
        with _renewed(port, 3 * PLACES, b""):
            assert answer(client) == "0"


def test_request_in_timely_pieces_is_served(port: int) -> None:
    with connect(port) as client:
        for piece in (POST[:20], POST[20:], b"12345", b"67890"):
            client.sendall(piece)
            time.sleep(0.05)
        assert answer(client) == "10"


def test_connection_serves_pipelined_and_later_requests(port: int) -> None:
    with connect(port) as client:
        for pause in (0.0, 0.0, 0.1, 0.1, 0.0):
            time.sleep(pause)
            client.sendall(GET)
            assert answer(client) == "0"


def test_pipelined_requests_are_all_served(port: int) -> None:
    with connect(port) as client:
        client.sendall(GET * 3)
        answers = b""
        while answers.count(b"HTTP/1.1 200") < 3:
            answers += client.recv(1024)


def test_failing_application_answers_500_or_closes(port: int) -> None:
    with connect(port) as client:
        client.sendall(GET.replace(b" / ", b" /unanswered "))
        assert client.recv(1000).startswith(b"HTTP/1.1 500 ")
    with connect(port) as client:
        client.sendall(POST.replace(b" / ", b" /broken ") + b"0123456789")
        with pytest.raises(http.client.IncompleteRead):
            answer(client)
    with connect(port) as client:
        client.sendall(GET)
        assert answer(client) == "0"


def test_expect_100_continue_is_answered(port: int) -> None:
    with connect(port) as client:
        client.sendall(POST.replace(b"\r\n\r\n", b"\r\nExpect: 100-continue\r\n\r\n"))
        assert client.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.sendall(b"0123456789")
        assert answer(client) == "10"


def test_head_request_gets_no_body(port: int) -> None:
    with connect(port) as client:
        client.sendall(GET.replace(b"GET", b"HEAD") + GET)
        client.settimeout(2)
        heads = client.recv(1000)
        while heads.count(b"\r\n\r\n") < 2 or not heads.endswith(b"0"):
            heads += client.recv(1000)
        first, _, second = heads.partition(b"\r\n\r\n")
        assert b"Content-Length: 1" in first
        assert second.startswith(b"HTTP/1.1 200 OK")


def test_idle_connection_is_kept_for_keepalive_seconds() -> None:
    with served(KEEPALIVE_SECONDS="1") as port, connect(port) as client:
        client.sendall(GET)
        assert answer(client) == "0"
        began = time.monotonic()
        assert client.recv(1) == b""
    assert 0.9 < time.monotonic() - began < 5


def test_idle_connection_outlives_the_proxys_minute_by_default(port: int) -> None:
    with connect(port) as client:
        client.sendall(GET)
        assert answer(client) == "0"
        client.settimeout(2.5)
        with pytest.raises(TimeoutError):
            client.recv(1)


def test_client_that_reads_nothing_is_given_up() -> None:
    """gunicorn's thread would wait for it without end."""
    ours, theirs = socket.socketpair()
    client = Hasty(fileno=ours.detach()).prepare()
    with client, theirs, pytest.raises(ConnectionResetError):
        client.sendall(b"x" * 3_000_000)


def test_script_name_is_removed_from_the_path() -> None:
    with served(SCRIPT_NAME="/pay") as port, connect(port) as client:
        client.sendall(GET.replace(b" / ", b" /pay/now "))
        assert answer(client) == "/now"


@pytest.mark.parametrize(
    "head",
    [
        b"GET / HTTP/1.1\r\nbad header",
        b"GET / HTTP/1.1\r\nCookie: " + b"x" * 9000,
        b"GET /" + b"x" * 5000 + b" HTTP/1.1",
        b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 101 + b"X: y",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: odd",
        b"POST / HTTP/1.1\r\nExpect: odd",
        b"\x16\x03\x01 HTTP/1.1",
    ],
    ids=["no name", "long header", "long line", "many headers", "coding", "expect", "TLS"],
)
def test_malformed_http_is_rejected_in_the_common_shape(port: int, head: bytes) -> None:
    """gunicorn answers each of them with an HTML page."""
    with connect(port) as client:
        client.sendall(head + b"\r\nOrigin: https://shop.example\r\n\r\n")
        response = http.client.HTTPResponse(client)
        response.begin()
        said = json.loads(response.read())
    assert (response.status, said["code"], said["action"]) == (400, "bad_request", "fix_request")
    assert response.headers["Content-Type"] == "application/json"
    # This application lists no origins.
    assert "Access-Control-Allow-Origin" not in response.headers


def test_close_is_announced_after_a_body_that_gunicorn_does_not_discard(port: int) -> None:
    """gunicorn says keep-alive and closes: a proxy loses the next request on the connection."""
    long = b"Content-Length: 65537"
    with connect(port) as client:
        client.sendall(POST.replace(b" / ", b" /refused ").replace(b"Content-Length: 10", long))
        assert b"connection: close" in client.recv(1024).lower()
    with connect(port) as client:
        client.sendall(POST.replace(b" / ", b" /refused ") + b"0123456789" + GET)
        client.settimeout(5)
        answers = client.recv(1024)
        while answers.count(b"HTTP/1.1") < 2:
            answers += client.recv(1024)
        assert b"connection: close" not in answers.lower()


@pytest.mark.alone
def test_client_that_never_closes_does_not_stop_others(port: int) -> None:
    bad = [connect(port) for _ in range(5)]
    for each in bad:
        each.sendall(b"nonsense\r\n\r\n")
    assert seconds_of_an_answer(port) < 0.4
    for each in bad:
        each.close()


def test_file_limit_covers_every_threads_connections(port: int) -> None:
    soft, _ = _worker_at(port).rlimit(psutil.RLIMIT_NOFILE)
    assert soft >= 4 * THREADS + 256


def _worker_at(port: int) -> psutil.Process:
    """The master and its worker share the listener, so either may be found, or both."""
    listening = [p for p in psutil.net_connections("tcp") if p.status == psutil.CONN_LISTEN]
    found = {p.pid for p in listening if p.laddr and p.laddr[1] == port}
    (worker,) = {worker for pid in found for worker in _workers(psutil.Process(pid))}
    return worker


def _workers(process: psutil.Process) -> list[psutil.Process]:
    return process.children() or [process]


def test_worker_without_a_free_file_closes_an_idle_connection() -> None:
    with served() as port, ExitStack() as stack:
        idle = stack.enter_context(connect(port))
        idle.sendall(GET)
        assert idle.recv(1024)
        worker = _worker_at(port)
        worker.rlimit(psutil.RLIMIT_NOFILE, (worker.num_fds(), worker.num_fds()))
        # The check of the keys at the start may have had a file or two, which are free by now.
        for _ in range(10):
            late = stack.enter_context(connect(port))
            late.sendall(GET)
            assert late.recv(1024).startswith(b"HTTP/1.1 200")
        while idle.recv(1024):  # the rest of the response, until the end
            pass
        assert _worker_at(port) == worker


def test_late_client_counts_as_gone() -> None:
    ours, theirs = _pair()
    with ours, theirs:
        ours.begin_request(0.05)
        with pytest.raises(ConnectionResetError):
            ours.recv(10)
        theirs.sendall(b"late")
        with pytest.raises(ConnectionResetError):
            ours.recv(10)


def test_early_bytes_of_a_client_are_kept() -> None:
    ours, theirs = _pair()
    with ours, theirs:
        assert not ours.is_readable(0.01)
        theirs.sendall(b"more")
        assert ours.is_readable(5.0)
        ours.begin_request(5)
        assert ours.recv(10) == b"more"


def test_response_larger_than_the_send_buffer_arrives() -> None:
    ours, theirs = _pair()
    large = b"x" * 3_000_000
    with ours, theirs, ThreadPoolExecutor(1) as reader:
        read = reader.submit(_read, theirs, len(large))
        ours.sendall(large)
        assert read.result() == large


@contextmanager
def _renewed(port: int, number: int, says: bytes) -> Iterator[None]:
    """Hold `number` connections that send only `says`, and reopen each when it is closed."""
    ended = threading.Event()

    def hold(part: int) -> None:
        clients: list[socket.socket] = []
        while not ended.is_set():
            clients = [client for client in clients if _is_open(client)]
            while len(clients) < part and not ended.is_set():
                with suppress(OSError):
                    clients.append(connect(port))
                    clients[-1].sendall(says)
            ended.wait(0.5)
        for client in clients:
            client.close()

    with ThreadPoolExecutor(4) as holders:
        for _ in range(4):
            holders.submit(hold, number // 4)
        time.sleep(0.5)
        try:
            yield
        finally:
            ended.set()


def _is_open(client: socket.socket) -> bool:
    """Return whether the server keeps the connection open; read and drop its responses."""
    client.setblocking(False)
    try:
        said = client.recv(65536)
    except BlockingIOError:
        return True
    except OSError:
        said = b""
    if not said:
        client.close()
    return bool(said)


def _pair() -> tuple[ClientSocket, socket.socket]:
    ours, theirs = socket.socketpair()
    return ClientSocket(fileno=ours.detach()).prepare(), theirs


def _read(sock: socket.socket, length: int) -> bytes:
    data = b""
    while len(data) < length:
        data += sock.recv(65536)
    return data


def _dribble(client: socket.socket, data: bytes, after: bytes) -> float:
    """Send until the other side closes; return after how many seconds."""
    began = time.monotonic()
    client.sendall(after)
    try:
        for byte in data:
            client.sendall(bytes([byte]))
            time.sleep(0.02)
    except OSError:
        pass
    return time.monotonic() - began


def _wait_for(port: int) -> None:
    patience = time.monotonic() + 20
    while time.monotonic() < patience:
        try:
            connect(port).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise RuntimeError("gunicorn did not start")
