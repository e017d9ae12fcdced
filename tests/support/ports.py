"""Ports for servers that a test starts: nothing else on this machine takes them meanwhile."""

from __future__ import annotations

import os
import random
import socket

# Linux takes the ports of connections, and those of servers that ask for any, from 32768 up.
FIRST, LAST = 10_240, 32_767

# Each worker of pytest-xdist takes ports from its own slice. The workers' names are gw0, gw1, ...
SLICES = 16
WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))


def free_port() -> int:
    """Return a TCP port that nothing listens on; raises OSError if there is none."""
    slice_ = range(FIRST + WORKER % SLICES, LAST + 1, SLICES)
    for port in random.sample(slice_, len(slice_)):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise OSError("every port is taken")
