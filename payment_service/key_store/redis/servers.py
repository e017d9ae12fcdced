"""The Redis servers of a URL: one server, the master that Sentinel names, or a cluster."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from copy import copy
from typing import Any, Protocol

from redis import BlockingConnectionPool, ConnectionPool
from redis.cluster import ClusterNode, NodesManager
from redis.crc import key_slot
from redis.exceptions import (
    AskError,
    ClusterDownError,
    MovedError,
    RedisClusterException,
    RedisError,
    ResponseError,
)
from redis.exceptions import TimeoutError as RedisTimeoutError
from redis.sentinel import Sentinel, SentinelConnectionPool

# How often to ask the cluster for its topology after a failure or a redirection.
REFRESH_SECONDS = 0.25

OLDEST = (6, 2)

ADVICE = {
    "cluster": "the server is a node of a Redis Cluster: write redis+cluster://host:port "
    "(rediss+cluster:// for TLS)",
    "sentinel": "the server is a Redis Sentinel: write redis+sentinel://host/service",
    "standalone": "the server is not a node of a Redis Cluster: write redis://host:port "
    "(rediss:// for TLS)",
}


class WrongServerError(RedisError):
    """The server is of another kind than the URL says, or too old."""


class Servers(Protocol):
    """Finds the connection pool of a key. Methods raise RedisError.

    If `is_one`, there is only one server at a time, and it has every key.
    """

    is_one: bool

    def pool_of(self, key: str, /) -> ConnectionPool:
        """Return the pool of the server that has the key."""
        ...

    def pool_after(self, redirection: AskError | MovedError) -> ConnectionPool:
        """Return the pool of the server that a redirection names; remember a move."""
        ...

    def pools(self) -> list[ConnectionPool]:
        """Return the pool of every server that has keys."""
        ...

    def mistrust(self, pool: ConnectionPool | None = None) -> None:
        """Note that keys may have moved, perhaps because the pool's server failed."""
        ...

    def close(self) -> None:
        """Close the connections."""
        ...


class OneServer:
    """Servers with one pool, which may be Sentinel's."""

    is_one = True

    def __init__(self, pool: ConnectionPool) -> None:
        self._pool = pool

    def pool_of(self, _: str, /) -> ConnectionPool:
        """See Servers."""
        return self._pool

    def pool_after(self, redirection: AskError | MovedError) -> ConnectionPool:
        """Raise: only a cluster redirects."""
        raise WrongServerError(ADVICE["cluster"]) from redirection

    def pools(self) -> list[ConnectionPool]:
        """See Servers."""
        return [self._pool]

    def mistrust(self, pool: ConnectionPool | None = None) -> None:
        """Do nothing: a new connection finds the server."""

    def close(self) -> None:
        """See Servers."""
        self._pool.disconnect()


class MasterPool(SentinelConnectionPool, BlockingConnectionPool):
    """A bounded pool of connections to the master that Sentinel names on connecting."""

    def __init__(self, service: str, sentinel: Sentinel, **given: Any) -> None:
        super().__init__(service, sentinel, **given)  # type: ignore[no-untyped-call]


class Cluster:
    """Servers of a cluster, with the topology that redis-py keeps.

    Connects on first use. Each refresh asks the known nodes for the topology, then `hosts`.
    """

    is_one = False

    def __init__(self, hosts: Sequence[tuple[str, int]], given: dict[str, Any]) -> None:
        self._hosts, self._given = list(hosts), given
        self._wait_seconds = 2 * given["timeout"]
        self._nodes: NodesManager | None = None
        self._lock = threading.Lock()
        self._doubtful, self._refreshed_at = False, -REFRESH_SECONDS
        self._failed_node: str | None = None
        self._failure: RedisError | None = None

    def pool_of(self, key: str, /) -> ConnectionPool:
        """See Servers."""
        nodes = self._topology()
        try:
            return _pool(nodes, nodes.get_node_from_slot(key_slot(key.encode())))
        except RedisClusterException as uncovered:
            self.mistrust()
            raise ClusterDownError(str(uncovered)) from uncovered

    def pool_after(self, redirection: AskError | MovedError) -> ConnectionPool:
        """See Servers. An ASK is valid for one command only."""
        nodes = self._topology()
        if isinstance(redirection, AskError):
            named = nodes.get_node(host=redirection.host, port=redirection.port)
            return _pool(nodes, named or ClusterNode(redirection.host, redirection.port, "primary"))  # type: ignore[no-untyped-call]
        nodes.move_slot(redirection)
        # A failover moves thousands of slots.
        self.mistrust()
        return _pool(nodes, nodes.get_node_from_slot(redirection.slot_id))

    def pools(self) -> list[ConnectionPool]:
        """See Servers."""
        nodes = self._topology()
        return [_pool(nodes, each) for each in nodes.get_nodes_by_server_type("primary")]

    def mistrust(self, pool: ConnectionPool | None = None) -> None:
        """See Servers."""
        if pool:
            given = pool.connection_kwargs
            self._failed_node = f"{given['host']}:{given['port']}"
        self._doubtful = True

    def close(self) -> None:
        """See Servers."""
        if self._nodes:
            self._nodes.close()

    def _topology(self) -> NodesManager:
        """Return the topology. One thread refreshes it, while the others use the old one."""
        if (self._nodes is None or self._doubtful) and self._lock.acquire(
            timeout=self._wait_seconds if self._nodes is None else 0
        ):
            try:
                self._refresh()
            finally:
                self._lock.release()
        if self._nodes is None:
            raise copy(self._failure) if self._failure else RedisTimeoutError("no topology yet")
        return self._nodes

    def _refresh(self) -> None:
        """Ask the cluster, at most every REFRESH_SECONDS; keep the old topology if that fails."""
        if time.monotonic() - self._refreshed_at < REFRESH_SECONDS:
            return
        self._doubtful = False
        try:
            if self._nodes is None:
                startup = [ClusterNode(*host) for host in self._hosts]  # type: ignore[no-untyped-call]
                self._nodes = NodesManager(startup, from_url=True, **self._given)
            else:
                self._nodes.initialize(self._hosts, False, self._failed_node)
            self._failure = None
        except RedisClusterException as failed:
            self._doubtful, self._failure = True, _redis_error(failed)
        finally:
            self._refreshed_at = time.monotonic()


def _redis_error(failed: RedisClusterException) -> RedisError:
    """Return the error behind redis-py's own, which is no RedisError."""
    cause = failed.__cause__
    return cause if isinstance(cause, RedisError) else ClusterDownError(str(failed))


def _pool(nodes: NodesManager, node: ClusterNode) -> ConnectionPool:
    if node.redis_connection is None:
        nodes.create_redis_connections([node])  # type: ignore[no-untyped-call]
    assert node.redis_connection
    pool: ConnectionPool = node.redis_connection.connection_pool
    return pool


def refuse_other_than(mode: str) -> Callable[[Any], None]:
    """Return redis-py's hook for new connections, which raises WrongServerError."""

    def check(connection: Any) -> None:
        connection.on_connect()
        connection.send_command("INFO", "server")
        try:
            text = connection.read_response()
        except ResponseError:
            # An ACL or a proxy may forbid INFO.
            return
        known = dict(line.split(":", 1) for line in text.decode().split("\r\n") if ":" in line)
        if known.get("redis_mode", mode) != mode:
            raise WrongServerError(ADVICE[known["redis_mode"]])
        version = known.get("redis_version", "6.2")
        if tuple(map(int, version.split(".")[:2])) < OLDEST:
            raise WrongServerError(f"the server is Redis {version}: it must be 6.2 or newer")

    return check
