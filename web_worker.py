import socket, time
from functools import partial
import selectors
from gunicorn.workers.gthread import TConn, ThreadWorker
import os
LINGER=float(os.environ.get("LINGER","0.02"))
class ClientSocket(socket.socket):
    ends_at = 0.0
    def recv(self, size, flags=0):
        left = self.ends_at - time.monotonic()
        if left <= 0: return b""
        self.settimeout(left)
        try: return super().recv(size, flags)
        except TimeoutError: return b""
    def waits(self, seconds):
        self.settimeout(seconds)
        try: return bool(super().recv(1, socket.MSG_PEEK))
        except OSError: return False
class Worker(ThreadWorker):
    def accept(self, listener):
        try:
            client, addr = listener.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return
        self.nr_conns += 1
        conn = TConn(self.cfg, ClientSocket(fileno=client.detach()), addr, listener.getsockname())
        conn.timeout = time.monotonic() + 5
        self.pending_conns.append(conn)
        self.poller.register(conn.sock, selectors.EVENT_READ, partial(self.on_pending_socket_readable, conn))
    def handle(self, conn):
        conn.sock.ends_at = time.monotonic() + 10
        keep = super().handle(conn)
        while keep is True and LINGER and self.tpool._work_queue.empty() and conn.sock.waits(LINGER):
            conn.sock.ends_at = time.monotonic() + 10
            keep = super().handle(conn)
        return keep
