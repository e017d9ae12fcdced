"""The stores of the chaos runs, and how each fails."""

from __future__ import annotations

import random
from collections.abc import Callable
from types import TracebackType
from typing import Protocol, Self

from tests.support.postgres_pair import PostgresPair
from tests.support.redis_cluster import Node, RedisCluster, Sentinel, until
from tests.support.servers import Postgres, Redis

# A replica takes over within a few node time-outs; a busy machine needs more.
FAILOVER_SECONDS = 60


class ChaosStore(Protocol):
    """A running store.

    `trouble` names its failure, and `weight` is the failure's share among the others. `keeps`: no
    failure loses an acknowledged write. `fails_over`: another server takes over.
    """

    trouble: str
    weight: int
    keeps: bool
    fails_over: bool

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
        /,
    ) -> object: ...

    def new_url(self) -> str:
        """Return the URL of an empty store."""
        ...

    def fail(self) -> None:
        """Let it fail once; return when it could fail again."""
        ...


class _Restarts:
    trouble, weight, keeps, fails_over = "store restarts", 1, True, False


class _FailsOver:
    trouble, weight, fails_over = "kill -9 of the store's master, failover", 4, True


class RestartedPostgres(_Restarts, Postgres):
    """One PostgreSQL."""

    def fail(self) -> None:
        self.restart()


class RestartedRedis(_Restarts, Redis):
    """One Redis that writes to its disk before it answers."""

    def fail(self) -> None:
        self.restart()


class PromotedPostgres(_FailsOver, PostgresPair):
    """Two PostgreSQLs, whose standby is promoted."""

    def __init__(self, *, synchronous: bool) -> None:
        super().__init__(synchronous=synchronous)
        self.keeps = synchronous

    def new_url(self) -> str:
        return self.url()

    def fail(self) -> None:
        self.fail_over()
        self.rejoin()


class FailingCluster(_FailsOver, RedisCluster):
    """A Redis Cluster; each master has a replica, to which it replicates asynchronously."""

    keeps = False

    def fail(self) -> None:
        self.settle()
        # On a busy machine, a node may fail over by itself in between.
        until(lambda: bool(self._pairs()))
        victim, heir = random.choice(self._pairs())
        victim.kill()
        until(heir.is_master, FAILOVER_SECONDS)
        self.settle()

    def _pairs(self) -> list[tuple[Node, Node]]:
        """Return each master with its replica."""
        masters = {node.port: node for node in self.masters()}
        roles = [(node, node.ask("ROLE")) for node in self.nodes]
        followed = [(masters.get(role[2]), node) for node, role in roles if role[0] == "slave"]
        return [(master, node) for master, node in followed if master]


class FailingSentinel(_FailsOver, Sentinel):
    """A Redis master and its replica, which Sentinel promotes."""

    keeps = False

    def fail(self) -> None:
        self.kill_master()


STORES: dict[str, Callable[[], ChaosStore]] = {
    "postgresql": RestartedPostgres,
    "redis": RestartedRedis,
    "redis-cluster": FailingCluster,
    "redis-sentinel": FailingSentinel,
    "postgresql-synchronous": lambda: PromotedPostgres(synchronous=True),
    "postgresql-asynchronous": lambda: PromotedPostgres(synchronous=False),
}
