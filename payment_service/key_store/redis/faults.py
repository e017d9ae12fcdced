"""Classifies Redis's and redis-py's errors by their cause."""

from __future__ import annotations

import re

from redis import RedisError
from redis.exceptions import (
    AskError,
    AuthenticationError,
    BusyLoadingError,
    ClusterDownError,
    MaxConnectionsError,
    ReadOnlyError,
    ResponseError,
)
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError
from redis.sentinel import MasterNotFoundError

from payment_service.key_store.contract import Cause
from payment_service.key_store.redis.servers import WrongServerError

# Redis 6 gives the reason of a script's failure only in the text, so the text comes first. redis-py
# removes the code from some texts. The order matters.
BY_TEXT: tuple[tuple[str, Cause], ...] = (
    (r"\bREADONLY\b|read only replica|NOREPLICAS|NotEnoughReplicas|replicas answered", "read_only"),
    (
        r"\bNOAUTH\b|WRONGPASS|invalid username-password|Authentication required|AUTH",
        "authentication",
    ),
    (r"\bNOPERM\b|no permissions|can't run this command|can't access", "permission"),
    (r"CLUSTERDOWN|MASTERDOWN|Hash slot not served|not covered", "cluster_down"),
    (r"\bMOVED\b|\bASK\b", "wrong_server"),
    (r"\bOOM\b|maxmemory|MISCONF|No space left", "full"),
    (r"\bLOADING\b|loading the dataset", "starting"),
    (r"DB index", "no_database"),
    (r"max number of clients|No connection available|\bBUSY\b", "busy"),
    (r"SSL|certificate|TLS", "tls"),
)

BY_CLASS: tuple[tuple[type[Exception], Cause], ...] = (
    (WrongServerError, "wrong_server"),
    (ReadOnlyError, "read_only"),
    (AuthenticationError, "authentication"),
    (BusyLoadingError, "starting"),
    (ClusterDownError, "cluster_down"),
    (MasterNotFoundError, "cluster_down"),
    (AskError, "wrong_server"),
    (MaxConnectionsError, "busy"),
    (RedisTimeoutError, "timeout"),
    (RedisConnectionError, "unreachable"),
    (ResponseError, "rejected"),
)


def cause_of(error: RedisError) -> Cause:
    """Return the class of the error's cause."""
    if isinstance(error, WrongServerError):
        return "wrong_server"
    by_text = (cause for text, cause in BY_TEXT if re.search(text, str(error)))
    by_class = (cause for kind, cause in BY_CLASS if isinstance(error, kind))
    return next(by_text, next(by_class, "failed"))
