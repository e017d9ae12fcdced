"""Open files: raise the system's limit, and take only as many orders at a time as it allows."""

from __future__ import annotations

import resource
import sys
from contextlib import suppress

# Files of a request: its connection, the gateway's, and two with which libcurl waits.
OF_A_REQUEST = 4

# Of a worker: the interpreter's, the listener, the log, and the store's.
OF_A_WORKER = 64

# Threads that answer /healthz and turn requests away while all orders wait for a gateway.
SPARE_THREADS = 32

# Idle connections of proxies and browsers.
MOST_IDLE = 256

# The usual limit of a process, for a system that does not say what it is.
USUAL_LIMIT = 1024


def idle_connections(limit: int) -> int:
    """Return how many idle connections a worker keeps: at most a quarter of its files."""
    return min(MOST_IDLE, limit // 4)


def most_in_flight(limit: int) -> int:
    """Return how many orders at a time need no more open files than a worker may have."""
    of_requests = limit - OF_A_WORKER - idle_connections(limit)
    return max(1, of_requests // OF_A_REQUEST - SPARE_THREADS)


def raise_limit(in_flight: int) -> None:
    """Raise the soft limit as far as that many orders at a time need it.

    Raises OSError or ValueError if the system refuses that.
    """
    wanted = OF_A_WORKER + MOST_IDLE + OF_A_REQUEST * (in_flight + SPARE_THREADS)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft != resource.RLIM_INFINITY:
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, most), hard))


def current_limit() -> int:
    """Return how many files this process may open; USUAL_LIMIT if the system refuses to say."""
    with suppress(OSError, ValueError):
        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        return sys.maxsize if soft == resource.RLIM_INFINITY else soft
    return USUAL_LIMIT
