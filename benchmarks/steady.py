"""Latency that the service adds to a call to Stripe, at a fixed rate of fifty orders per second.

Also during a brownout, in which every second response of Stripe takes 8 s.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import quantiles

from benchmarks.running import fake_stripe, running
from benchmarks.servers import PORT, STRIPE_PORT, Server

RATE = 50
STRIPE_SECONDS = 0.3

# Slower responses are those that the brownout delayed.
SLOW_SECONDS = 4.0


@dataclass(frozen=True, slots=True)
class Steady:
    """Latencies in milliseconds: Stripe's own, the added one, and the fast half's in a brownout."""

    server: str
    direct_p50: float
    added_p50: float
    added_p99: float
    brownout_p50: float
    brownout_ratio: float


def measure(server: Server, seconds: int) -> Steady:
    """Measure Stripe alone, then with the service in front, then in a brownout."""
    try:
        return _measured(server, seconds)
    except (EOFError, OSError, RuntimeError) as error:
        raise RuntimeError(f"{server.name}: {error}") from error


def _measured(server: Server, seconds: int) -> Steady:
    with fake_stripe(STRIPE_SECONDS):
        direct = latencies(STRIPE_PORT, _to_stripe, seconds)
        with running(server):
            latencies(PORT, _to_us, 2)
            through = latencies(PORT, _to_us, seconds)
    with fake_stripe(STRIPE_SECONDS, slow_every=2), running(server):
        fast = [each for each in latencies(PORT, _to_us, seconds) if each < SLOW_SECONDS * 1000]
    (d50, d99), (t50, t99), (b50, _) = map(_p50_and_p99, (direct, through, fast))
    return Steady(server.name, d50, t50 - d50, t99 - d99, b50, b50 / t50)


def table(found: Sequence[Steady]) -> str:
    """Return a Markdown table."""
    lines = [
        f"## {RATE} new orders a second, Stripe answers in {STRIPE_SECONDS * 1000:.0f} ms",
        "",
        "| server | added p50 ms | added p99 ms | p50 ms in a brownout, fast half | of normal |",
        "|---|---:|---:|---:|---:|",
        *(
            f"| {each.server} | {each.added_p50:.1f} | {each.added_p99:.1f} "
            f"| {each.brownout_p50:.1f} | {each.brownout_ratio:.2f} |"
            for each in found
        ),
        "",
    ]
    return "\n".join(lines)


def _to_us() -> bytes:
    body = f'{{"amount":1099,"currency":"usd","order_id":"{uuid.uuid4().hex}"}}'
    return post("/create-payment-intent", "application/json", body)


def _to_stripe() -> bytes:
    form = f"amount=1099&currency=usd&metadata[order_id]={uuid.uuid4().hex}"
    return post("/v1/payment_intents", "application/x-www-form-urlencoded", form)


def post(path: str, kind: str, body: str, headers: str = "") -> bytes:
    """Return a POST request; each line of `headers` ends with CR and LF."""
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: {kind}\r\n{headers}"
    return f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode()


def latencies(
    port: int, request: Callable[[], bytes], seconds: int, rate: int = RATE
) -> list[float]:
    """Send requests at a fixed rate; return the milliseconds of each response.

    Raises RuntimeError at a response other than 200 or 201.
    """
    return asyncio.run(_send_at_rate(port, request, seconds * rate, rate))


async def _send_at_rate(
    port: int, request: Callable[[], bytes], count: int, rate: int
) -> list[float]:
    """Send each request at its scheduled time, over keep-alive connections, and wait for all."""
    client = _Client(port)
    began = time.monotonic()
    sent = []
    for number in range(count):
        await asyncio.sleep(max(0.0, began + number / rate - time.monotonic()))
        sent.append(asyncio.create_task(client.send(request())))
    found = await asyncio.gather(*sent)
    client.close()
    return found


class _Client:
    """Pools connections as a proxy does, and drops those that the server has closed."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def send(self, request: bytes) -> float:
        """Return the milliseconds until the response was complete."""
        began = time.monotonic()
        while self._idle:
            reader, writer = self._idle.pop()
            if reader.at_eof():
                writer.close()
                continue
            try:
                writer.write(request)
                head = await reader.readuntil(b"\r\n\r\n")
                break
            except (asyncio.IncompleteReadError, ConnectionError):
                # The server closed the connection. Duplicates do not matter here.
                writer.close()
        else:
            reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
        if b" 20" not in head[:12]:
            raise RuntimeError(head.decode())
        fields = head.lower()
        await reader.readexactly(int(fields.split(b"content-length:", 1)[1].split(b"\r\n", 1)[0]))
        if b"\r\nconnection: close" in fields:
            writer.close()
        else:
            self._idle.append((reader, writer))
        return (time.monotonic() - began) * 1000

    def close(self) -> None:
        """Close the idle connections."""
        for _, writer in self._idle:
            writer.close()


def _p50_and_p99(values: Sequence[float]) -> tuple[float, float]:
    cuts = quantiles(values, n=100)
    return cuts[49], cuts[98]
