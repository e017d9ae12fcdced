"""Parses a Redis URL into its servers; connects to nothing."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import SplitResult, parse_qsl, urlencode, urlsplit

from redis import BlockingConnectionPool, RedisError
from redis.backoff import NoBackoff
from redis.connection import ConnectionPool, parse_url
from redis.retry import Retry
from redis.sentinel import Sentinel, SentinelManagedConnection, SentinelManagedSSLConnection

from payment_service.key_store.redis.servers import (
    Cluster,
    MasterPool,
    OneServer,
    Servers,
    refuse_other_than,
)

# Connections per process and server; an operation holds one for a fraction of a millisecond.
POOL_SIZE = 20

REDIS_PORT, SENTINEL_PORT = 6379, 26379

# RFC 3986, appendix B. urlsplit refuses several hosts if one of them is an IPv6 address.
_URL = re.compile(r"([^:/?#]+)://([^/?#]*)([^?#]*)(?:\?([^#]*))?(?:#(.*))?")

# Options of the URL that are ours, and not redis-py's.
OURS = ("wait_replicas", "sentinel_username", "sentinel_password")

RULES = {
    "": "a redis URL is redis://user:password@host:6379/0, or rediss:// for TLS; "
    "percent-encode special characters in the password",
    "cluster": "a redis+cluster URL is redis+cluster://user:password@host:6379,host:6379, or "
    "rediss+cluster:// for TLS, without a database",
    "sentinel": "a redis+sentinel URL is redis+sentinel://user:password@host:26379,host:26379/"
    "service, where user and password are Redis's (sentinel_username= and sentinel_password= "
    "are Sentinel's), or rediss+sentinel:// for TLS with both",
}


def open_servers(url: str, timeout_seconds: float) -> tuple[Servers, int]:
    """Return the URL's servers and `wait_replicas`; they connect on first use.

    Raises ValueError, which never shows the URL. Each wait gets half the time-out, so that
    connecting and waiting for the answer stay within it.
    """
    kind = url.partition(":")[0].partition("+")[2]
    try:
        plain, ours = _split_options(url, kind)
        wait_replicas = int(ours.get("wait_replicas", 0))
        if not 0 <= wait_replicas <= 9:
            raise ValueError  # noqa: TRY301 - the rule replaces every error
        opened = {"": _one, "cluster": _cluster, "sentinel": _sentinel}[kind]
        return opened(plain, timeout_seconds / 2, ours), wait_replicas
    except (KeyError, TypeError, ValueError, RedisError):
        raise ValueError(RULES.get(kind, RULES[""])) from None


def first_server_url(url: str) -> str:
    """Return a URL of the first host alone, as redis-py understands it. Raises ValueError."""
    kind = url.partition(":")[0].partition("+")[2]
    parts = _split(_split_options(url, kind)[0])
    user, at, hosts = parts.netloc.rpartition("@")
    return parts._replace(netloc=f"{user}{at}{hosts.partition(',')[0]}").geturl()


def _split(url: str) -> SplitResult:
    found = _URL.fullmatch(url)
    if found is None:
        raise ValueError
    return SplitResult(*(part or "" for part in found.groups()))


def _split_options(url: str, kind: str) -> tuple[str, dict[str, str]]:
    """Return the URL as redis-py understands it, and the options that are ours."""
    parts = _split(url)
    options = parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query))
    ours = {name: value for name, value in options if name in OURS}
    rest = urlencode([each for each in options if each[0] not in OURS])
    scheme = parts.scheme.partition("+")[0]
    path = {"": parts.path, "cluster": parts.path.strip("/"), "sentinel": ""}[kind]
    if parts.fragment or (kind == "cluster" and path):
        raise ValueError
    if kind == "sentinel":
        ours["service"] = parts.path[1:]
    return parts._replace(scheme=scheme, path=path, query=rest).geturl(), ours


def _one(url: str, half: float, _: dict[str, str]) -> Servers:
    _check_path(url)
    (host,) = _hosts(url, REDIS_PORT)
    given = _given(url, host, half) | {"redis_connect_func": refuse_other_than("standalone")}
    pool = BlockingConnectionPool(max_connections=POOL_SIZE, timeout=half, **given)  # type: ignore[no-untyped-call]
    return OneServer(_checked(pool))


def _cluster(url: str, half: float, _: dict[str, str]) -> Servers:
    hosts = _hosts(url, REDIS_PORT)
    given = _given(url, hosts[0], half) | {"redis_connect_func": refuse_other_than("cluster")}
    given |= {"max_connections": POOL_SIZE, "timeout": half}
    _checked(BlockingConnectionPool(**given))  # type: ignore[no-untyped-call]
    others = {name: value for name, value in given.items() if name not in ("host", "port", "retry")}
    return Cluster(hosts, {**others, "connection_pool_class": BlockingConnectionPool})


def _sentinel(url: str, half: float, ours: dict[str, str]) -> Servers:
    if not re.fullmatch("[A-Za-z0-9._-]+", ours["service"]):
        raise ValueError
    hosts = _hosts(url, SENTINEL_PORT)
    given = _given(url, hosts[0], half) | {"redis_connect_func": refuse_other_than("standalone")}
    _checked(BlockingConnectionPool(**given))  # type: ignore[no-untyped-call]
    del given["host"], given["port"]
    # A connection first asks Sentinel, then connects.
    of_sentinel = dict.fromkeys(("socket_timeout", "socket_connect_timeout"), half / 2)
    named = {name.partition("_")[2]: ours[name] for name in OURS[1:] if name in ours}
    # A Sentinel of a Redis with TLS speaks TLS, too, with the same certificates.
    tls = {name: value for name, value in given.items() if name.startswith("ssl_")}
    with_tls = {"ssl": True, **tls} if url.startswith("rediss:") else {}
    sentinel = Sentinel(  # type: ignore[no-untyped-call]
        hosts, sentinel_kwargs={**of_sentinel, **named, **with_tls, "retry": _no_retry()}
    )
    given |= {"max_connections": POOL_SIZE, "timeout": half}
    given["connection_class"] = (
        SentinelManagedSSLConnection if with_tls else SentinelManagedConnection
    )
    return OneServer(MasterPool(ours["service"], sentinel, **given))


def _given(url: str, host: tuple[str, int], half: float) -> dict[str, Any]:
    """Return the arguments of a connection to the URL's first host."""
    parts = _split(url)
    user, at, _ = parts.netloc.rpartition("@")
    known = parse_url(parts._replace(netloc=f"{user}{at}localhost").geturl())  # type: ignore[no-untyped-call]
    overrides = {
        "host": host[0],
        "port": host[1],
        "retry": _no_retry(),
        "protocol": 2,
        "driver_info": None,
        # Records are UTF-8, and are read as bytes.
        "encoding": "utf-8",
        "encoding_errors": "strict",
        "decode_responses": False,
    }
    return {"socket_timeout": half, "socket_connect_timeout": half} | dict(known) | overrides


def _no_retry() -> Retry:
    return Retry(NoBackoff(), 0)


def _checked(pool: ConnectionPool) -> ConnectionPool:
    """Make a connection, unconnected, so that wrong options raise now."""
    pool.connection_class(**pool.connection_kwargs)
    return pool


def _check_path(url: str) -> None:
    """Raise ValueError for a path that redis-py ignores."""
    if not re.fullmatch("(/[0-9]*)?", _split(url).path):
        raise ValueError


def _hosts(url: str, port: int) -> list[tuple[str, int]]:
    """Return the hosts and ports, which are separated by commas."""
    named = _split(url).netloc.rpartition("@")[2].split(",")
    if len(named) > 1 and not all(named):
        raise ValueError
    return [_host(each, port) for each in named]


def _host(text: str, port: int) -> tuple[str, int]:
    parts = urlsplit(f"//{text}")
    if parts.port == 0 or not re.fullmatch("[!-~]*", parts.hostname or "") or "@" in text:
        raise ValueError
    return parts.hostname or "localhost", parts.port or port
