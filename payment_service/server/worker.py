"""gunicorn's thread worker, with time limits that keep slow clients from occupying threads.

gunicorn assigns a thread to every new connection at once and reads a request without a time limit,
so a few hundred silent clients, or clients that send a byte at a time, would stop the service.
Here a connection waits in the poller for its first byte, and a request must arrive within a limit.
"""

from __future__ import annotations

import errno
import json
import select
import selectors
import socket
import sys
import threading
import time
from contextlib import suppress
from functools import partial
from typing import Any

from gunicorn import util
from gunicorn.http.errors import ParseException
from gunicorn.workers.gthread import TConn, ThreadWorker

from payment_service.server.exchange import Answer, common_environ, environ_of, is_read
from payment_service.server.request_head import PlainRequestParser, reads_plainly

# A silent connection costs a file descriptor, not a thread.
FIRST_BYTE_SECONDS = 20.0

# Enough for 64 KiB, the largest body, over the slowest mobile network (about 10 kB/s).
REQUEST_SECONDS = 7.0

# A response fits into the kernel's send buffer, so only a client that reads nothing blocks a send.
ANSWER_SECONDS = 5.0

# After a response the thread waits this long for the connection's next request. A proxy often sends
# it at once, and this saves three thread switches, a third of the server's own CPU time.
STAY_SECONDS = 0.02

# Longer than any request computes before it waits for I/O.
SWITCH_SECONDS = 0.05

# The pause after a failed start of a worker, because each start costs half a second of CPU.
NEXT_TRY_SECONDS = 1.0

# How long a closing connection is still read: unread data would reset it and lose the response.
CLOSE_SECONDS = 0.5

BAD_REQUEST = json.dumps(
    {"error": "The request cannot be read", "code": "bad_request", "action": "fix_request"}
)


class UnfinishedRequests:
    """The connections whose threads wait for the rest of a request, at most `most` of them.

    If one more has to wait, the oldest is closed: half-sent requests never occupy every thread.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._waiting: set[ClientSocket] = set()
        self._lock = threading.Lock()

    def wait(self, client: ClientSocket, seconds: float) -> None:
        """Wait until the client sends more, the time is over, or the connection is given up."""
        with self._lock:
            self._waiting.add(client)
            if len(self._waiting) > self._most:
                oldest = min(self._waiting, key=lambda each: each.ends_at)
                self._waiting.remove(oldest)
                oldest.give_up()
        try:
            client.is_readable(seconds)
        finally:
            with self._lock:
                self._waiting.discard(client)


class ClientSocket(socket.socket):
    """A client's connection. `ends_at`, in time.monotonic's seconds, is the deadline of its reads.

    The socket is always non-blocking, because each call that may block lets another thread run. So
    does each switch between the modes, and gunicorn switches twice for each request.
    """

    ends_at = 0.0
    given_up = False
    unfinished: UnfinishedRequests | None = None
    _head = b""

    def prepare(self) -> ClientSocket:
        """Make the socket non-blocking and create its poll object, once."""
        super().setblocking(False)
        self._readable = select.poll()
        self._readable.register(self, select.POLLIN)
        return self

    def setblocking(self, flag: bool) -> None:
        """Do nothing: the socket stays non-blocking."""

    def settimeout(self, value: float | None) -> None:
        """Do nothing: `ends_at` is the deadline."""

    def recv(self, size: int, flags: int = 0) -> bytes:
        """Read; return b"" after the deadline, as if the client had closed."""
        left = self.ends_at - time.monotonic()
        while left > 0:
            try:
                return super().recv(size, flags)
            except BlockingIOError:
                self._wait(left)
            left = self.ends_at - time.monotonic()
        return b""

    def sendall(self, data: Any, flags: int = 0) -> None:
        """Write. The head of a response is held back, to go out in one packet with the body.

        Raises ConnectionResetError if the client does not read.
        """
        if not self._head and data.startswith(b"HTTP/1.") and data.endswith(b"\r\n\r\n"):
            self._head = data
            return
        unsent = memoryview(self._head + data)
        self._head = b""
        with suppress(BlockingIOError):
            unsent = unsent[self.send(unsent, flags) :]
        if unsent:
            self._send_slowly(unsent)

    def flush(self) -> None:
        """Send the held-back head of a response without a body."""
        if self._head:
            self.sendall(b"")

    def is_readable(self, seconds: float) -> bool:
        """Wait until there is data to read or the client has closed."""
        return seconds >= 0 and bool(self._readable.poll(seconds * 1000))

    def give_up(self) -> None:
        """Stop reading, and wake the thread that waits for the client."""
        self.given_up = True
        self.ends_at = 0.0
        with suppress(OSError):
            self.shutdown(socket.SHUT_RD)

    def _wait(self, seconds: float) -> None:
        if self.unfinished:
            self.unfinished.wait(self, seconds)
        else:
            self.is_readable(seconds)

    def _send_slowly(self, unsent: memoryview) -> None:
        super().settimeout(ANSWER_SECONDS)
        try:
            super().sendall(unsent)
        except TimeoutError as late:
            raise ConnectionResetError(errno.ECONNRESET, "the client does not read") from late
        finally:
            super().settimeout(0)


class WebWorker(ThreadWorker):  # type: ignore[misc]
    """ThreadWorker with time limits for slow clients."""

    request_seconds = REQUEST_SECONDS
    # Whether the environment, not gunicorn's settings, requires what `common_environ` leaves out.
    asked_for_more = False
    # Whether this worker started after the service had all its workers.
    replaces = False

    def init_process(self) -> None:
        """Prepare the worker; let a thread run until it waits for I/O, as each soon does.

        By default, Python wakes every waiting thread 200 times a second to request its turn.
        """
        sys.setswitchinterval(SWITCH_SECONDS)
        # gunicorn reads twenty settings per request, each through two function calls.
        self.cfg.__dict__.update({name: each.get() for name, each in self.cfg.settings.items()})
        # The other half of the threads stays free for complete requests.
        self.unfinished = UnfinishedRequests(max(1, self.cfg.threads // 2))
        super().init_process()

    def load_wsgi(self) -> None:
        """Build the service. A failure ends the whole service only in one of the first workers.

        A settings file may be half written when a worker is replaced. The other workers continue
        with the settings they have, and the next worker reads the file again.
        """
        try:
            super().load_wsgi()
        except (Exception, SystemExit) as failed:
            if not self.replaces:
                raise
            self.log.critical("This worker cannot start; another will try: %r", failed)
            time.sleep(NEXT_TRY_SECONDS)
            raise SystemExit(1) from None

    def is_parent_alive(self) -> bool:
        """Free the port for the next master as soon as this one is gone.

        gunicorn's orphaned workers hold the port, without accepting, while a client is connected.
        """
        if super().is_parent_alive():
            return True
        self.alive = False
        self.set_accept_enabled(False)
        return False

    def set_accept_enabled(self, enabled: bool) -> None:
        """Also free the port if a stopping worker will accept no more."""
        super().set_accept_enabled(enabled)
        if not (enabled or self.alive):
            self._leave_port()

    def _leave_port(self) -> None:
        """Accept the queued connections and close the port: later clients may try elsewhere.

        gunicorn's workers would hold the port, without accepting, until the last request is
        answered, and then drop all connections queued meanwhile.
        """
        while self.sockets:
            listener, waiting = self.sockets.pop(), True
            while waiting and self.nr_conns < self.worker_connections:
                waiting = self._accepts(listener)
            listener.close()

    def accept(self, listener: Any) -> None:
        """Accept a new connection."""
        self._accepts(listener)

    def _accepts(self, listener: Any) -> bool:
        """Accept a connection. It waits in the poller if its first byte has not arrived yet.

        Return whether there was a connection.
        """
        try:
            accepted, address = listener.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return False
        client = ClientSocket(fileno=accepted.detach()).prepare()
        client.unfinished = self.unfinished
        conn = TConn(self.cfg, client, address, listener.getsockname())
        conn.timeout = time.monotonic() + FIRST_BYTE_SECONDS
        conn.common_environ = None
        if not self.asked_for_more:
            conn.common_environ = common_environ(self.cfg, conn.client, conn.server)
        if conn.common_environ and reads_plainly(self.cfg):
            conn.parser = PlainRequestParser(self.cfg, client, address)
        self.nr_conns += 1
        self._make_room()
        if client.is_readable(0):
            conn.data_ready = True
            self.enqueue_req(conn)
            return True
        self.pending_conns.append(conn)
        speaks = partial(self.on_pending_socket_readable, conn)
        self.poller.register(client, selectors.EVENT_READ, speaks)
        return True

    def _make_room(self) -> None:
        """Close the longest idle connections to make room for the next one."""
        while self.alive and self.nr_conns >= self.worker_connections:
            conn = self._longest_silent()
            if conn is None:
                return
            self.poller.unregister(conn.sock)
            self.nr_conns -= 1
            conn.close()

    def _longest_silent(self) -> Any:
        """Remove the longest idle connection from its queue; None if all have data by now."""
        waits = [
            (conns[0].timeout - seconds, conns)
            for conns, seconds in (
                (self.pending_conns, FIRST_BYTE_SECONDS),
                (self.keepalived_conns, self.cfg.keepalive),
            )
            if conns
        ]
        for _, conns in sorted(waits, key=lambda wait: wait[0]):
            # A connection with data may hold a whole request that the poller has not reported yet.
            conn = next((each for each in conns if not each.sock.is_readable(0)), None)
            if conn is not None:
                conns.remove(conn)
                return conn
        return None

    def handle(self, conn: Any) -> Any:
        """Serve a connection in a thread while its next request follows at once."""
        keep = self._serve(conn)
        while keep and self._threads_are_free() and conn.sock.is_readable(STAY_SECONDS):
            keep = self._serve(conn)
        if not keep:
            self._close(conn.sock)
        return keep

    def handle_request(self, req: Any, conn: Any) -> Any:
        """Answer a request; return whether the connection stays open for another."""
        if conn.common_environ is None or req._expected_100_continue:
            return super().handle_request(req, conn)
        answer = Answer(req, conn.sock, self.cfg)
        self._count(answer)
        try:
            self._answer(answer, environ_of(req, conn.common_environ))
        except OSError:
            raise
        except (Exception, SystemExit):
            if not answer.headers_sent:
                raise
            self.log.exception("an answer broke off")
            util.close_graceful(conn.sock)
            raise StopIteration from None
        if answer.should_close():
            return False
        if is_read(req):
            # Otherwise gunicorn would look for the rest of the body, twice.
            conn.parser.mesg = None
        return True

    def handle_error(self, req: Any, client: Any, addr: Any, exc: Exception) -> None:
        """Answer malformed HTTP in the service's error shape; leave other errors to gunicorn."""
        if not isinstance(exc, ParseException):
            super().handle_error(req, client, addr, exc)
            return
        self.log.info("not HTTP: %s", exc)
        head = "HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Type: application/json\r\n"
        length = f"Content-Length: {len(BAD_REQUEST)}\r\n\r\n"
        client.sendall((head + length + BAD_REQUEST).encode())

    def _count(self, answer: Answer) -> None:
        """Apply --max-requests, and close a connection that may not be kept alive."""
        self.nr += 1
        if self.nr >= self.max_requests and self.alive:
            self.log.info("Autorestarting worker after current request.")
            self.alive = False
        full = len(self.keepalived_conns) >= self.max_keepalived
        if not self.alive or not self.cfg.keepalive or full:
            answer.force_close()

    def _answer(self, answer: Answer, environ: dict[str, Any]) -> None:
        pieces = self.wsgi(environ, answer.start_response)
        try:
            for piece in pieces:
                answer.write(piece)
            answer.close()
        finally:
            if hasattr(pieces, "close"):
                pieces.close()

    def _serve(self, conn: Any) -> Any:
        conn.sock.ends_at = time.monotonic() + self.request_seconds
        keep = super().handle(conn)
        conn.sock.flush()
        return keep

    def _threads_are_free(self) -> bool:
        return bool(self.alive and self.tpool._work_queue.empty())

    def _close(self, client: ClientSocket) -> None:
        """Close in this thread: the poller's thread must not wait for the client to close."""
        if client.given_up:
            client.close()
            return
        client.ends_at = time.monotonic() + CLOSE_SECONDS
        util.close_graceful(client, timeout=CLOSE_SECONDS)
