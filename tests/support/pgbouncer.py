"""PgBouncer in transaction mode, in front of a PostgreSQL server; Debian's package has it."""

from __future__ import annotations

import os
import shutil

from tests.support.servers import Postgres, Server

# Debian installs it where an ordinary user's PATH does not look.
PROGRAM = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")

ABSENT = "pgbouncer is not installed: apt-get install pgbouncer"

CONFIGURATION = """
[databases]
* = host=127.0.0.1 port={server} user=postgres
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = {sessions}
ignore_startup_parameters = options
"""


class PgBouncer(Server):
    """All clients of one database share `sessions` sessions of the server."""

    ready = "process up"

    def __init__(self, server: Postgres, sessions: int = 2) -> None:
        super().__init__()
        self._server = server
        self.directory.chmod(0o755)
        text = CONFIGURATION.format(server=server.port, port=self.port, sessions=sessions)
        (self.directory / "pgbouncer.ini").write_text(text)

    def user(self) -> str | None:
        return self._server.user()

    def command(self) -> list[str]:
        assert PROGRAM, ABSENT
        return [PROGRAM, "pgbouncer.ini"]

    def through(self, url: str) -> str:
        """Return the URL that reaches the same database through the pooler."""
        return url.replace(f":{self._server.port}/", f":{self.port}/")

    def new_url(self) -> str:
        """Return the URL of a new database: a pooler does not pass a search_path on."""
        return self.through(self._server.new_database("UTF8"))
