"""A PostgreSQL primary and its hot standby, which a test can promote."""

from __future__ import annotations

import subprocess
from contextlib import ExitStack
from typing import Self

from tests.support.redis_cluster import until
from tests.support.servers import Postgres

# The standby needs what it has not received yet, when it connects again.
REPLICATION = ("wal_level=replica", "max_wal_senders=4", "wal_keep_size=64MB", "hot_standby=on")


class PostgresPair:
    """With `synchronous`, a commit returns only after the standby has written it to disk."""

    def __init__(self, *, synchronous: bool) -> None:
        self._synchronous = synchronous
        self.primary = Postgres(*REPLICATION)
        self.standby = Postgres(*REPLICATION)

    def __enter__(self) -> Self:
        with ExitStack() as undo:
            undo.push(self.__exit__)
            self.primary.start()
            self._copy()
            self._replicate()
            undo.pop_all()
        return self

    def _replicate(self) -> None:
        self.standby.start()
        if self._synchronous:
            self.primary.run("ALTER SYSTEM SET synchronous_standby_names = '*'")
            self.primary.run("SELECT pg_reload_conf()")
        wanted = "sync" if self._synchronous else "async"
        until(lambda: self._states() == [("streaming", wanted)])

    def __exit__(self, *_: object) -> None:
        self.primary.__exit__()
        self.standby.__exit__()

    def url(self) -> str:
        """Return the URL with both hosts; the standby is the first."""
        hosts = f"127.0.0.1:{self.standby.port},127.0.0.1:{self.primary.port}"
        return f"postgresql://postgres:secret-word@{hosts}/postgres"

    def catch_up(self) -> None:
        """Wait until the standby has every write of the primary."""
        ((now,),) = self.primary.run("SELECT pg_current_wal_lsn()")
        until(lambda: self.standby.run(f"SELECT pg_last_wal_replay_lsn() >= '{now}'") == [(True,)])

    def cut(self) -> None:
        """Stop the replication: the standby gets no later write."""
        self.standby.run("ALTER SYSTEM SET primary_conninfo = ''")
        self.standby.run("SELECT pg_reload_conf()")
        until(lambda: self._states() == [])

    def fail_over(self) -> None:
        """Kill the primary and promote the standby."""
        self.primary.kill()
        self.standby.run("SELECT pg_promote()")

    def rejoin(self) -> None:
        """After a failover, make the killed server the standby of the promoted one."""
        self.primary, self.standby = self.standby, self.primary
        self._copy()
        self._replicate()

    def _states(self) -> list[tuple[object, ...]]:
        return self.primary.run("SELECT state, sync_state FROM pg_stat_replication")

    def _copy(self) -> None:
        """Replace the standby's data by the primary's."""
        for each in self.standby.directory.iterdir():
            subprocess.run(["rm", "-rf", str(each)], check=True)
        program = self.primary.program("pg_basebackup")
        source = f"host=127.0.0.1 port={self.primary.port} user=postgres"
        command = [program, "-d", source, "-D", str(self.standby.directory), "-R", "-c", "fast"]
        subprocess.run(command, check=True, user=self.primary.user(), cwd="/")
