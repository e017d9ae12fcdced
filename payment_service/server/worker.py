"""gunicorn's thread worker, hardened: each override names the attack or the fault that needs it.

gunicorn itself reads requests, calls the application and writes responses. What it lacks is a time
limit for slow clients. It gives every new connection a thread for up to five seconds, waits without
end for the rest of a request, and waits without end for a client that does not read.
"""

from __future__ import annotations

import errno
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
from gunicorn.workers.gthread import TConn, ThreadWorker

from payment_service.server.error_response import error_response

# A silent connection costs a file descriptor, not a thread.
FIRST_BYTE_SECONDS = 20.0

# Enough for 64 KiB, the largest body, over the slowest mobile network (about 10 kB/s).
REQUEST_SECONDS = 7.0

# A response fits into the kernel's send buffer, so only a client that reads nothing blocks a send.
SEND_SECONDS = 5.0

# After a response the thread waits this long for the connection's next request, which a proxy often
# sends at once. Without it, an order costs 12 % more CPU time, for thread switches.
STAY_SECONDS = 0.02

# Longer than any request computes before it waits for I/O. By default, Python wakes every waiting
# thread 200 times a second to request its turn, which costs a fifth of the rate at 0 ms Stripe.
SWITCH_SECONDS = 0.05

# How long a closing connection is still read: unread data would reset it and lose the response.
CLOSE_SECONDS = 0.5

# gunicorn discards at most this much of an unread body before it closes the connection.
MOST_UNREAD_BYTES = 64 * 1024

# Enough of a request's head to find its Origin header.
MOST_HEAD_BYTES = 32 * 1024


# A worker without a free file waits this long before it tries to accept again.
NO_FILE_SECONDS = 0.05

# The log says at most so often that no connection can be accepted.
WARNING_SECONDS = 60.0

# The process, or the machine, has as many open files as it may have.
_NO_FILE_IS_LEFT = (errno.EMFILE, errno.ENFILE)


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
    """A client's connection, on which no read and no write waits without end.

    `ends_at`, in time.monotonic's seconds, is the deadline of all reads of a request together: a
    time-out per read would not stop a client that sends a byte a second. The socket is always
    non-blocking, because gunicorn would otherwise switch its mode several times per request.
    """

    ends_at = 0.0
    send_seconds = SEND_SECONDS
    given_up = False
    unfinished: UnfinishedRequests | None = None
    # The first bytes of the request, for the response to one that cannot be parsed.
    head = b""

    def prepare(self) -> ClientSocket:
        """Make the socket non-blocking and create its poll object, once."""
        super().setblocking(False)
        self._readable = select.poll()
        self._readable.register(self, select.POLLIN)
        return self

    def begin_request(self, seconds: float) -> None:
        """Start the time of a request."""
        self.ends_at, self.head = time.monotonic() + seconds, b""

    def setblocking(self, flag: bool) -> None:
        """Do nothing: the socket stays non-blocking."""

    def settimeout(self, value: float | None) -> None:
        """Do nothing: `ends_at` is the deadline."""

    def recv(self, size: int, flags: int = 0) -> bytes:
        """Read. Raises ConnectionResetError after the deadline.

        An empty result would look like the end of a body, and the rest of it like a next request.
        """
        while (left := self.ends_at - time.monotonic()) > 0:
            try:
                data = super().recv(size, flags)
            except BlockingIOError:
                self._wait(left)
            else:
                if len(self.head) < MOST_HEAD_BYTES:
                    self.head += data
                return data
        raise ConnectionResetError(errno.ECONNRESET, "the client is too slow")

    def sendall(self, data: Any, flags: int = 0) -> None:
        """Write. Raises ConnectionResetError if the client does not read."""
        unsent = memoryview(data)
        with suppress(BlockingIOError):
            unsent = unsent[self.send(unsent, flags) :]
        if unsent:
            self._send_slowly(unsent)

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
        super().settimeout(self.send_seconds)
        try:
            super().sendall(unsent)
        except TimeoutError as late:
            raise ConnectionResetError(errno.ECONNRESET, "the client does not read") from late
        finally:
            super().settimeout(0)


class WebWorker(ThreadWorker):  # type: ignore[misc]
    """ThreadWorker with limits for slow clients, and with stops that lose no connection."""

    request_seconds = REQUEST_SECONDS
    _next_warning_at = 0.0

    def init_process(self) -> None:
        """Limit the threads that wait for half-sent requests; the other half stays free."""
        sys.setswitchinterval(SWITCH_SECONDS)
        self.unfinished = UnfinishedRequests(max(1, self.cfg.threads // 2))
        super().init_process()

    def is_parent_alive(self) -> bool:
        """Stop like at SIGTERM if the master was killed.

        gunicorn's orphaned workers hold the port while a client is connected, so that the next
        master cannot start.
        """
        if not super().is_parent_alive():
            self.alive = False
        return bool(self.alive)

    def set_accept_enabled(self, enabled: bool) -> None:
        """Also close the port if a stopping worker will accept no more.

        gunicorn's stopping workers hold the port without accepting, and at their end they drop the
        connections that were queued meanwhile. Clients that are refused at once try elsewhere.
        """
        super().set_accept_enabled(enabled)
        if not (enabled or self.alive):
            self._leave_port()

    def _leave_port(self) -> None:
        while self.sockets:
            listener, waiting = self.sockets.pop(), True
            while waiting and self.nr_conns < self.worker_connections:
                waiting = self._accepts(listener)
            listener.close()

    def accept(self, listener: Any) -> None:
        """Accept a connection. It waits for its first byte in the poller.

        gunicorn's waits in a thread for five seconds, so a few hundred silent clients stop all
        others.
        """
        self._accepts(listener)

    def _accepts(self, listener: Any) -> bool:
        """Accept a connection; return whether there was one."""
        try:
            accepted, address = listener.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return False
        except OSError as error:
            if error.errno not in _NO_FILE_IS_LEFT:
                raise
            self._free_a_file(error)
            return False
        client = ClientSocket(fileno=accepted.detach()).prepare()
        client.unfinished = self.unfinished
        conn = TConn(self.cfg, client, address, listener.getsockname())
        conn.timeout = time.monotonic() + FIRST_BYTE_SECONDS
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

    def _free_a_file(self, error: OSError) -> None:
        """Close the longest idle connection, or else let requests end.

        gunicorn's worker ends if it cannot accept a connection, and loses its requests.
        """
        if time.monotonic() >= self._next_warning_at:
            self._next_warning_at = time.monotonic() + WARNING_SECONDS
            self.log.warning("No connection can be accepted: %s", error)
        if not self._close_longest_silent():
            time.sleep(NO_FILE_SECONDS)

    def _make_room(self) -> None:
        """Close the longest idle connections to make room for the next one.

        gunicorn's worker accepts no more while `worker_connections` are open, silent ones included.
        """
        while self.alive and self.nr_conns >= self.worker_connections:
            if not self._close_longest_silent():
                return

    def _close_longest_silent(self) -> bool:
        conn = self._longest_silent()
        if conn is None:
            return False
        self.poller.unregister(conn.sock)
        self.nr_conns -= 1
        conn.close()
        return True

    def finish_request(self, conn: Any, fs: Any) -> None:
        """Also make room if all places are taken: this connection may be idle from now on.

        Otherwise a burst of requests on as many connections as there are places would stop new
        connections until an idle one ends, after KEEPALIVE_SECONDS.
        """
        super().finish_request(conn, fs)
        self._make_room()

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
        """Read and answer a request within its time, and close the connection in this thread.

        gunicorn closes in the poller's thread, and waits there for two seconds for each client that
        does not close.
        """
        keep = self._handle_in_time(conn)
        while keep and self._threads_are_free() and conn.sock.is_readable(STAY_SECONDS):
            keep = self._handle_in_time(conn)
        if not keep:
            self._close(conn.sock)
        return keep

    def _handle_in_time(self, conn: Any) -> Any:
        conn.sock.begin_request(self.request_seconds)
        return super().handle(conn)

    def _threads_are_free(self) -> bool:
        return bool(self.alive and self.tpool._work_queue.empty())

    def handle_request(self, req: Any, conn: Any) -> Any:
        """Announce the close of a connection whose body is longer than gunicorn discards.

        gunicorn would announce that it keeps the connection, and lose the next request on it.
        """
        if getattr(req.body.reader, "length", 0) > MOST_UNREAD_BYTES:
            req.force_close()
        return super().handle_request(req, conn)

    def handle_error(self, _: Any, client: Any, __: Any, exc: Exception) -> None:
        """Answer in the service's error shape, with CORS headers.

        gunicorn answers in HTML. A page of another origin could not read that answer at all.
        """
        status, response = error_response(
            exc, client.head, getattr(self.wsgi, "cors_origins", frozenset())
        )
        if status < 500:
            self.log.info("The request cannot be parsed: %s", exc)
        else:
            self.log.error("The request failed outside the application", exc_info=exc)
        with suppress(OSError):
            client.sendall(response)

    def _close(self, client: ClientSocket) -> None:
        if client.given_up:
            client.close()
            return
        client.ends_at = time.monotonic() + CLOSE_SECONDS
        util.close_graceful(client, timeout=CLOSE_SECONDS)
