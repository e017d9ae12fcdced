"""Finds the options of a PostgreSQL URL that libpq will never accept, without connecting."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psycopg
from psycopg import pq
from psycopg.conninfo import conninfo_to_dict, make_conninfo

# A socket's directory that does not exist: libpq checks all options before it looks there.
NOWHERE = "/nonexistent/payment-service"

# libpq reads these as integers only after it has connected.
INTEGERS = (
    "connect_timeout",
    "keepalives",
    "keepalives_idle",
    "keepalives_interval",
    "keepalives_count",
    "tcp_user_timeout",
)


def refuse_options(url: str) -> None:
    """Raise ValueError with libpq's own sentence if it refuses an option of the URL, or of PG….

    With such an option every connection fails. Other mistakes in the URL raise nothing here.
    """
    try:
        given = conninfo_to_dict(url)
    except psycopg.Error as wrong:
        # The sentence quotes what it is about, which may be a piece of an unescaped password.
        if "invalid URI query parameter" in str(wrong) and "@" not in url.partition("?")[2]:
            raise _refused(str(wrong)) from None
        return
    sentence = _refused_value(given) or _missing_root(given)
    if sentence:
        raise _refused(sentence)


def _refused(sentence: str) -> ValueError:
    return ValueError(f"a postgresql URL cannot have this option: {sentence.strip()}")


def _refused_value(given: Mapping[str, Any]) -> str | None:
    for name in INTEGERS:
        if given.get(name) and not str(given[name]).strip().lstrip("+-").isdecimal():
            return f'invalid integer value for connection option "{name}"'
    # The address is no option, and may hold a piece of a password; a socket knows no GSSAPI.
    trial = {**given, "hostaddr": None, "port": None, "gssencmode": "disable", "host": NOWHERE}
    # Otherwise libpq looks up the user of this process, who may have no name.
    trial.setdefault("user", "nobody")
    tried = pq.PGconn.connect_start(make_conninfo("", **trial).encode())
    failed, sentence = tried.status == pq.ConnStatus.BAD, tried.get_error_message()
    tried.finish()
    # Otherwise all options are accepted: libpq has looked for the server.
    return sentence if failed and not sentence.startswith("connection to server") else None


def _missing_root(given: Mapping[str, Any]) -> str | None:
    """Return why no certificate can be verified: libpq has no file of authorities."""
    defaults = {each.keyword.decode(): each.val for each in pq.Conninfo.get_defaults()}

    def option(name: str) -> str:
        default = defaults.get(name)
        return str(given.get(name) or (default.decode() if default else ""))

    if option("sslmode") not in ("verify-ca", "verify-full") or option("sslrootcert") == "system":
        return None
    root = Path(option("sslrootcert") or os.path.expanduser("~/.postgresql/root.crt"))
    if root.is_file():
        return None
    return f'root certificate file "{root}" does not exist; sslrootcert=system uses the system\'s'
