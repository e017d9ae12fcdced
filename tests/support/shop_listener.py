"""A shop that listens to order events: a small HTTP server that keeps the events."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self


class ShopListener(ThreadingHTTPServer):
    """Responds with `statuses` one by one, then with 200, each after `delay_seconds`.

    A context manager closes it.
    """

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, statuses: list[int] | None = None, delay_seconds: float = 0.0) -> None:
        super().__init__(("127.0.0.1", 0), _Take)
        self.delay_seconds = delay_seconds
        self.closing = threading.Event()
        self.taken: list[tuple[bytes, str]] = []
        self.traceparents: list[str | None] = []
        self.refused = 0
        self.statuses = statuses or []
        self.lock = threading.Lock()
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.closing.set()
        self.shutdown()
        self.server_close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/orders"

    def told(self) -> dict[str, dict[str, Any]]:
        """Return the events by id, as a shop that drops duplicates has them."""
        with self.lock:
            return {event["id"]: event for event in (json.loads(body) for body, _ in self.taken)}

    def orders(self, kind: str) -> list[str]:
        """Return the orders with an event of this type, such as order.paid."""
        events = self.told().values()
        return [e["data"]["object"]["order_id"] for e in events if e["type"] == kind]


class _Take(BaseHTTPRequestHandler):
    server: ShopListener
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        shop = self.server
        shop.closing.wait(shop.delay_seconds)
        with shop.lock:
            status = shop.statuses.pop(0) if shop.statuses else 200
            if status == 200:
                shop.taken.append((body, self.headers["Order-Signature"]))
                shop.traceparents.append(self.headers["traceparent"])
            else:
                shop.refused += 1
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass


def until(holds: Callable[[], bool], seconds: float = 20) -> None:
    """Wait for an action of another process."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)
