"""gunicorn's thread worker, on which no client can hold a thread for longer than a few seconds.

gunicorn gives a thread to every new connection at once and reads a request without a time limit,
so a few hundred clients that say nothing, or that speak a byte at a time, would stop the service.
Here a connection waits for its first byte in the poller, and a request must be whole in time.
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

# A client that connects and says nothing costs a descriptor, not a thread.
FIRST_BYTE_SECONDS = 20.0

# 64 KiB, the largest body, over the slowest mobile network (about 10 kB/s).
REQUEST_SECONDS = 7.0

# An answer fits into the kernel's buffers; one that does not has a client that reads nothing.
ANSWER_SECONDS = 5.0

# After its answer a thread stays with the connection for this long, because a proxy that sends
# the next request at once is then served without three changes of thread (a third of the
# server's own CPU time).
STAY_SECONDS = 0.02

# Longer than any request computes without waiting for anything.
SWITCH_SECONDS = 0.05

# Before another worker is started in place of one that could not: it takes half a second of CPU.
NEXT_TRY_SECONDS = 1.0

# How long a closing connection is read on, so that the answer is not lost with what is unread.
CLOSE_SECONDS = 0.5

BAD_REQUEST = json.dumps(
    {"error": "The request cannot be read", "code": "bad_request", "action": "fix_request"}
)


class UnfinishedRequests:
    """The connections whose threads wait for the rest of a request, `most` at a time.

    Where one more would wait, the oldest goes: half-sent requests never take every thread.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._waiting: set[ClientSocket] = set()
        self._lock = threading.Lock()

    def wait(self, client: ClientSocket, seconds: float) -> None:
        """Wait until the client says more, or has to go."""
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
    """A client's connection; `ends_at`, an instant of time.monotonic, ends what it reads.

    Never blocks in a call of its own: each call that may block lets another thread run, and each
    change between blocking and not is one more. gunicorn changes twice for each request.
    """

    ends_at = 0.0
    given_up = False
    unfinished: UnfinishedRequests | None = None
    _head = b""

    def prepare(self) -> ClientSocket:
        """Make it ready, once."""
        super().setblocking(False)
        self._readable = select.poll()
        self._readable.register(self, select.POLLIN)
        return self

    def setblocking(self, flag: bool) -> None:
        """Do nothing."""

    def settimeout(self, value: float | None) -> None:
        """Do nothing: `ends_at` is the time-out."""

    def recv(self, size: int, flags: int = 0) -> bytes:
        """Read; a client that is too late counts as gone."""
        left = self.ends_at - time.monotonic()
        while left > 0:
            try:
                return super().recv(size, flags)
            except BlockingIOError:
                self._wait(left)
            left = self.ends_at - time.monotonic()
        return b""

    def sendall(self, data: Any, flags: int = 0) -> None:
        """Write; the head of an answer waits for what follows it, to be one packet with it.

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
        """Send the head of an answer that has no body."""
        if self._head:
            self.sendall(b"")

    def is_readable(self, seconds: float) -> bool:
        """Wait for something to read, or for the client to hang up."""
        return seconds >= 0 and bool(self._readable.poll(seconds * 1000))

    def give_up(self) -> None:
        """Read nothing more; wake the thread that waits for the client."""
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
    """ThreadWorker with an end for what clients do slowly."""

    request_seconds = REQUEST_SECONDS
    # Whether what `common_environ` leaves out is asked for by other ways than gunicorn's settings.
    asked_for_more = False
    # Whether the service had all its workers before this one began.
    replaces = False

    def init_process(self) -> None:
        """Let a thread work until it waits for something, as each soon does.

        Python would have every waiting thread wake up 200 times a second to ask for its turn.
        """
        sys.setswitchinterval(SWITCH_SECONDS)
        # gunicorn asks for twenty settings a request, each through two functions.
        self.cfg.__dict__.update({name: each.get() for name, each in self.cfg.settings.items()})
        # The other half of the threads is left for requests that are whole.
        self.unfinished = UnfinishedRequests(max(1, self.cfg.threads // 2))
        super().init_process()

    def load_wsgi(self) -> None:
        """Build the service; where that fails, only the first workers end it as a whole.

        A file of settings may be half written when a worker is replaced: the others go on with
        what they have read, and the next one reads it anew.
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
        """Leave the port as soon as the master is gone, for the one that comes after it.

        gunicorn's own orphans hold it, without accepting, for as long as a client stays connected.
        """
        if super().is_parent_alive():
            return True
        self.alive = False
        self.set_accept_enabled(False)
        return False

    def set_accept_enabled(self, enabled: bool) -> None:
        """Leave the port, too, where a worker that ends will accept no more."""
        super().set_accept_enabled(enabled)
        if not (enabled or self.alive):
            self._leave_port()

    def _leave_port(self) -> None:
        """Take those who have connected; whoever comes later is refused, and may go elsewhere.

        gunicorn's workers would hold the port, without accepting, until the last request is
        answered, and hang up on all who connected meanwhile.
        """
        while self.sockets:
            listener, waiting = self.sockets.pop(), True
            while waiting and self.nr_conns < self.worker_connections:
                waiting = self._accepts(listener)
            listener.close()

    def accept(self, listener: Any) -> None:
        """Take a new connection."""
        self._accepts(listener)

    def _accepts(self, listener: Any) -> bool:
        """Let a new connection wait for its first byte in the poller, if that is not there yet.

        Tells whether there was one.
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
        """Close the oldest silent connections, so that there is a place for the next one."""
        while self.alive and self.nr_conns >= self.worker_connections:
            conn = self._longest_silent()
            if conn is None:
                return
            self.poller.unregister(conn.sock)
            self.nr_conns -= 1
            conn.close()

    def _longest_silent(self) -> Any:
        """Take it out of those that wait; None where each has said something by now."""
        waits = [
            (conns[0].timeout - seconds, conns)
            for conns, seconds in (
                (self.pending_conns, FIRST_BYTE_SECONDS),
                (self.keepalived_conns, self.cfg.keepalive),
            )
            if conns
        ]
        for _, conns in sorted(waits, key=lambda wait: wait[0]):
            # What has arrived may be a whole request, which the poller has not told of yet.
            conn = next((each for each in conns if not each.sock.is_readable(0)), None)
            if conn is not None:
                conns.remove(conn)
                return conn
        return None

    def handle(self, conn: Any) -> Any:
        """Serve a connection, in a thread, for as long as it has the next request ready."""
        keep = self._serve(conn)
        while keep and self._threads_are_free() and conn.sock.is_readable(STAY_SECONDS):
            keep = self._serve(conn)
        if not keep:
            self._close(conn.sock)
        return keep

    def handle_request(self, req: Any, conn: Any) -> Any:
        """Answer a request; tell whether the connection may bring another."""
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
            # gunicorn would look for the rest of it, twice.
            conn.parser.mesg = None
        return True

    def handle_error(self, req: Any, client: Any, addr: Any, exc: Exception) -> None:
        """Answer what is not HTTP in the one shape of errors; everything else is gunicorn's."""
        if not isinstance(exc, ParseException):
            super().handle_error(req, client, addr, exc)
            return
        self.log.info("not HTTP: %s", exc)
        head = "HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Type: application/json\r\n"
        length = f"Content-Length: {len(BAD_REQUEST)}\r\n\r\n"
        client.sendall((head + length + BAD_REQUEST).encode())

    def _count(self, answer: Answer) -> None:
        """End with --max-requests, and close what may not stay."""
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
        """Close here: the thread of the poller must not wait for a client to hang up."""
        if client.given_up:
            client.close()
            return
        client.ends_at = time.monotonic() + CLOSE_SECONDS
        util.close_graceful(client, timeout=CLOSE_SECONDS)
