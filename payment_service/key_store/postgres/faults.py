"""Classifies errors of PostgreSQL, libpq and PgBouncer by their cause."""

from __future__ import annotations

import re

import psycopg
from psycopg import errors
from psycopg_pool import PoolTimeout

from payment_service.key_store.contract import Cause

# SQLSTATE or its class, the longest first.
BY_SQLSTATE: dict[str, Cause] = {
    "25006": "read_only",
    "3D000": "no_database",
    "3F000": "no_table",
    "42501": "permission",
    "42P01": "no_table",
    "53300": "busy",
    "55P03": "busy",
    "57014": "timeout",
    "57P03": "starting",
    "22": "rejected",
    "28": "authentication",
    "40": "busy",
    "42": "rejected",
    "53": "full",
    "57": "starting",
}

# libpq reports no SQLSTATE when it cannot connect, only a text. The order matters: "connection to
# server failed: SSL error: certificate verify failed" is a TLS error.
BY_TEXT: tuple[tuple[str, Cause], ...] = (
    ("read-only|hot standby", "read_only"),
    ("starting up|shutting down|in recovery|not yet accepting|not accepting", "starting"),
    ("SSL|certificate|TLS|no encryption", "tls"),
    ("database .* does not exist|no such database", "no_database"),
    ("too many|connection slots|no more connections", "busy"),
    (
        "authentication|password|pg_hba|role .* does not exist|not permitted to log in|no such user"
        "|permission denied",
        "authentication",
    ),
    ("timeout|timed out", "timeout"),
    ("could not|refused|closed|unreachable|No route|resolve|No such file|lost", "unreachable"),
)


class UnusableDatabaseError(psycopg.OperationalError):
    """The database cannot store every order, or not where the URL says."""


def cause_of(error: psycopg.Error) -> Cause:
    """Return the class of the error's cause."""
    if isinstance(error, UnusableDatabaseError):
        return "wrong_server"
    if error.sqlstate:
        known = (BY_SQLSTATE.get(error.sqlstate), BY_SQLSTATE.get(error.sqlstate[:2]))
        return next((cause for cause in known if cause), "failed")
    if isinstance(error, PoolTimeout | errors.ConnectionTimeout):
        return "timeout"
    return next((cause for text, cause in BY_TEXT if re.search(text, str(error))), "failed")


def reason_of(error: psycopg.Error) -> str:
    """Return the error's type and text, without DETAIL, which may show an order's parameters."""
    text = error.diag.message_primary or str(error)
    return f"{type(error).__name__}: {text}"
