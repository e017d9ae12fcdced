"""A Redis Cluster of three masters with a replica each, and a Sentinel with two servers."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, Self

from redis import Redis as Client
from redis.exceptions import RedisError

from tests.support.ports import LAST
from tests.support.servers import REDIS_SERVER, Redis, free_port

MASTERS, SLOTS = 3, 16_384

# A cluster's nodes talk on their port plus this number; Redis 6.2 has no setting for it.
BUS = 10_000

# A port that was free may be taken until a node listens on it.
MOST_PORTS = 5

# Milliseconds after which a silent node counts as failed.
NODE_TIMEOUT_MS = 1_000

# On a busy machine, a restarted node takes its time to copy its master.
SETTLE_SECONDS = 60


def until(reached: Callable[[], bool], seconds: float = 90) -> None:
    """Wait for a state of the servers; an error counts as not yet."""
    end = time.monotonic() + seconds
    while True:
        try:
            if reached():
                return
        except RedisError:
            pass
        assert time.monotonic() < end, "the servers did not reach the state"
        time.sleep(0.02)


def _port_with_bus() -> int:
    while True:
        port = free_port()
        if port + BUS > LAST:
            continue
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port + BUS)):
                return port


class Node(Redis):
    """A node of a cluster."""

    def __init__(self, *options: str) -> None:
        super().__init__(
            *options,
            *("--cluster-enabled", "yes", "--cluster-node-timeout", str(NODE_TIMEOUT_MS)),
            *("--repl-diskless-sync", "yes", "--repl-diskless-sync-delay", "0"),
            *("--cluster-replica-validity-factor", "0"),
        )
        self.port, self._has_run = _port_with_bus(), False

    def start(self) -> Self:
        """Start it; the first time, on another port if its own was taken meanwhile."""
        for _ in range(MOST_PORTS):
            try:
                super().start()
            except AssertionError as failed:
                if self._has_run or "Address already in use" not in str(failed):
                    raise
                self.port = _port_with_bus()
            else:
                self._has_run = True
                return self
        raise AssertionError("no port is free")

    def client(self) -> Client:
        """Return a client of this node alone."""
        return Client(port=self.port, decode_responses=True)

    def ask(self, *command: Any) -> Any:
        """Run a command on this node alone."""
        with self.client() as client:
            return client.execute_command(*command)

    def id(self) -> str:
        """Return its name in the cluster."""
        return str(self.ask("CLUSTER MYID"))

    def is_up(self) -> bool:
        """Return whether it knows a server for every slot."""
        return bool(self.ask("CLUSTER INFO")["cluster_state"] == "ok")

    def is_master(self) -> bool:
        return bool(self.ask("ROLE")[0] == "master")


class RedisCluster:
    """Six nodes; a test may kill, freeze and restart them."""

    def __init__(self) -> None:
        self.nodes = [Node() for _ in range(2 * MASTERS)]

    def __enter__(self) -> Self:
        with ExitStack() as undo:
            undo.push(self.__exit__)
            self._form()
            undo.pop_all()
        return self

    def _form(self) -> None:
        for number, node in enumerate(self.nodes, 1):
            node.start()
            node.ask("CLUSTER SET-CONFIG-EPOCH", number)
        first, *others = self.nodes
        for node in others:
            node.ask("CLUSTER MEET", "127.0.0.1", first.port)
        bounds = [SLOTS * n // MASTERS for n in range(MASTERS + 1)]
        for n in range(MASTERS):
            self.nodes[n].ask("CLUSTER ADDSLOTS", *range(bounds[n], bounds[n + 1]))
        until(lambda: all(self._knows_all(node) for node in self.nodes))
        for n in range(MASTERS):
            self.nodes[MASTERS + n].ask("CLUSTER REPLICATE", self.nodes[n].id())
        self.settle()

    def __exit__(self, *_: object) -> None:
        for node in self.nodes:
            node.__exit__()

    def settle(self) -> None:
        """Start what is down, and wait until every master has a replica that is in step."""
        for node in self.nodes:
            if not node.running:
                node.start()
        until(self._is_settled, SETTLE_SECONDS)

    def url(self) -> str:
        hosts = ",".join(f"127.0.0.1:{node.port}" for node in self.nodes[:2])
        return f"redis+cluster://{hosts}"

    def new_url(self) -> str:
        self.settle()
        until(self._is_empty)
        return self.url()

    def _is_empty(self) -> bool:
        """Empty the masters; true once no replica has a record left to bring back as a master."""
        for node in self.masters():
            node.ask("FLUSHALL")
        return all(node.ask("DBSIZE") == 0 for node in self.nodes)

    @contextmanager
    def counting_none_as_failed(self) -> Iterator[None]:
        """Let no node declare a silent one failed: on a busy machine, any may be silent."""
        for node in self.nodes:
            node.ask("CONFIG SET", "cluster-node-timeout", 1000 * SETTLE_SECONDS)
        try:
            yield
        finally:
            for node in self.nodes:
                node.ask("CONFIG SET", "cluster-node-timeout", NODE_TIMEOUT_MS)

    def masters(self) -> list[Node]:
        return [node for node in self.nodes if node.running and node.is_master()]

    def master_of(self, key: str) -> Node:
        """Return the master that has the key's slot."""
        slot = int(self.nodes[0].ask("CLUSTER KEYSLOT", key))
        for first, last, (_, port, *_), *_ in self._slots():
            if first <= slot <= last:
                return next(node for node in self.nodes if node.port == port)
        raise AssertionError(slot)

    def move(self, keys: list[str], target: Node) -> None:
        """Move the slot that holds exactly these keys to another master."""
        slot, source = self.nodes[0].ask("CLUSTER KEYSLOT", keys[0]), self.master_of(keys[0])
        self.open_move(slot, source, target)
        for key in keys:
            source.ask("MIGRATE", "127.0.0.1", target.port, key, 0, 1000)
        self.end_move(slot, source, target)

    @staticmethod
    def open_move(slot: int, source: Node, target: Node) -> None:
        """Let the slot's keys move: from now on, the source redirects with ASK."""
        target.ask("CLUSTER SETSLOT", slot, "IMPORTING", source.id())
        source.ask("CLUSTER SETSLOT", slot, "MIGRATING", target.id())

    @staticmethod
    def end_move(slot: int, source: Node, target: Node) -> None:
        """Make the target the slot's master: the source redirects with MOVED."""
        for node in (target, source):
            node.ask("CLUSTER SETSLOT", slot, "NODE", target.id())

    def _slots(self) -> list[Any]:
        with Client(port=self.masters()[0].port) as client:
            client.response_callbacks.clear()
            found: list[Any] = client.execute_command("CLUSTER SLOTS")
            return found

    @staticmethod
    def _knows_all(node: Node) -> bool:
        info = node.ask("CLUSTER INFO")
        return bool(
            info["cluster_known_nodes"] == str(2 * MASTERS) and info["cluster_state"] == "ok"
        )

    def _is_settled(self) -> bool:
        masters = self.masters()
        in_step = all(
            role == "master" and replicas and node.ask("WAIT", 1, 100) >= 1
            for node, (role, _, replicas, *_) in ((each, each.ask("ROLE")) for each in masters)
        )
        return len(masters) == MASTERS and in_step and all(map(self._knows_all, self.nodes))


class Sentinel:
    """A master, its replica, and one Sentinel that may decide alone."""

    service = "orders"

    def __init__(self) -> None:
        sync = ("--repl-diskless-sync", "yes", "--repl-diskless-sync-delay", "0")
        self.servers = [Redis(*sync), Redis(*sync)]
        self._watcher = _Watcher()

    def __enter__(self) -> Self:
        master, replica = self.servers
        for server in self.servers:
            server.start()
        replica.run("REPLICAOF", "127.0.0.1", str(master.port))
        self._watcher.configure(self.service, master.port)
        self._watcher.start()
        until(lambda: "slaves=1" in self._watcher.run("INFO", "sentinel"))
        return self

    def __exit__(self, *_: object) -> None:
        for server in (self._watcher, *self.servers):
            server.__exit__()

    def url(self) -> str:
        return f"redis+sentinel://127.0.0.1:{self._watcher.port}/{self.service}"

    def new_url(self) -> str:
        self.master().run("FLUSHALL")
        return self.url()

    def master(self) -> Redis:
        """Return the server that is the master now."""
        return next(
            server
            for server in self.servers
            if server.running and "role:master" in server.run("INFO", "replication")
        )

    def fail_over(self) -> None:
        """Make the replica the master, in order; return once Sentinel names it."""
        old = self.master()
        until(lambda: "OK" in self._watcher.run("SENTINEL", "FAILOVER", self.service))
        until(lambda: not self._names(old))

    def kill_master(self) -> None:
        """Kill the master; once Sentinel names another, restart it as that one's replica.

        Sentinel would order that too, but after minutes on a machine that often stands still: each
        pause of two seconds makes it wait for half a minute.
        """
        old = self.master()
        old.kill()
        until(lambda: not self._names(old))
        old.start()
        new = next(server for server in self.servers if server is not old)
        old.run("REPLICAOF", "127.0.0.1", str(new.port))
        until(lambda: "state=online" in new.run("INFO", "replication"))

    def _names(self, server: Redis) -> bool:
        named = self._watcher.run("SENTINEL", "get-master-addr-by-name", self.service)
        return str(server.port) in named


class _Watcher(Redis):
    """The Sentinel process."""

    ready = "Sentinel ID is"

    def configure(self, service: str, port: int, down_after_ms: int = NODE_TIMEOUT_MS) -> None:
        lines = (
            f"port {self.port}",
            "bind 127.0.0.1",
            f"sentinel monitor {service} 127.0.0.1 {port} 1",
            f"sentinel down-after-milliseconds {service} {down_after_ms}",
            f"sentinel failover-timeout {service} 3000",
        )
        (self.directory / "sentinel.conf").write_text("\n".join(lines) + "\n")

    def command(self) -> list[str]:
        return [str(REDIS_SERVER), "sentinel.conf", "--sentinel"]
