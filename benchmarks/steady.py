"""Latency that the service adds to a call to Stripe, at a fixed rate of fifty orders per second.

Calls to Stripe alone and orders through the service alternate, because the machine's state changes
the latency of both by more than the service adds. Also during a brownout, in which every second
response of Stripe takes 8 s.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import astuple, dataclass
from statistics import median, quantiles

from benchmarks.running import fake_stripe, running
from benchmarks.servers import PORT, STRIPE_PORT, Server

RATE = 50
STRIPE_SECONDS = 0.3

# Slower responses are those that the brownout delayed.
SLOW_SECONDS = 4.0


@dataclass(frozen=True, slots=True)
class Steady:
    """Latencies in milliseconds: the added one, and that of the fast half in a brownout."""

    server: str
    added_p50: float
    added_p99: float
    brownout_p50: float
    brownout_ratio: float


def measure(servers: Sequence[Server], seconds: int, rounds: int) -> list[Steady]:
    """Measure every server once in each round; return the medians of the rounds."""
    found = [[_measured(server, seconds) for server in servers] for _ in range(rounds)]
    return [_median(of_server) for of_server in zip(*found, strict=True)]


def _median(rounds: Sequence[Steady]) -> Steady:
    numbers = zip(*(astuple(each)[1:] for each in rounds), strict=True)
    return Steady(rounds[0].server, *map(median, numbers))


def _measured(server: Server, seconds: int) -> Steady:
    try:
        with fake_stripe(STRIPE_SECONDS), running(server):
            latencies(PORT, _to_us, 2)
            targets = ((STRIPE_PORT, _to_stripe), (PORT, _to_us))
            direct, through = _latencies_in_turn(targets, seconds, RATE)
        with fake_stripe(STRIPE_SECONDS, slow_every=2), running(server):
            fast = [each for each in latencies(PORT, _to_us, seconds) if each < SLOW_SECONDS * 1000]
    except (EOFError, OSError, RuntimeError) as error:
        raise RuntimeError(f"{server.name}: {error}") from error
    (d50, d99), (t50, t99), (b50, _) = map(_p50_and_p99, (direct, through, fast))
    return Steady(server.name, t50 - d50, t99 - d99, b50, b50 / t50)


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
    (found,) = _latencies_in_turn(((port, request),), seconds, rate)
    return found


Target = tuple[int, Callable[[], bytes]]


def _latencies_in_turn(targets: Sequence[Target], seconds: int, rate: int) -> list[list[float]]:
    """Send requests to every target at this rate, in turn; return the milliseconds of each."""
    return asyncio.run(_send_at_rate(targets, seconds * rate, rate))


async def _send_at_rate(targets: Sequence[Target], count: int, rate: int) -> list[list[float]]:
    """Send each request at its scheduled time, over keep-alive connections, and wait for all."""
    clients = [_Client(port) for port, _ in targets]
    sent: list[list[asyncio.Task[float]]] = [[] for _ in targets]
    began, gap = time.monotonic(), 1 / rate / len(targets)
    for number in range(count * len(targets)):
        await asyncio.sleep(max(0.0, began + number * gap - time.monotonic()))
        place = number % len(targets)
        _, request = targets[place]
        sent[place].append(asyncio.create_task(clients[place].send(request())))
    found = [await asyncio.gather(*tasks) for tasks in sent]
    for client in clients:
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
