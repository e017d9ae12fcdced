"""Finds the options of a Redis URL that the driver will never accept, without connecting."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from redis import ConnectionPool, RedisError

from payment_service.key_store.redis.opening import first_server_url

# Options that name a file; the driver opens it only when it connects.
FILES = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")

# The driver's sentences about an option, without its value.
_UNKNOWN = re.compile(r"unexpected keyword argument '(\w+)'")
_VALUE = re.compile(r"Invalid value for '(\w+)' in connection URL")


def refuse_options(url: str) -> None:
    """Raise ValueError with the driver's own words if it refuses an option of the URL.

    With such an option every connection fails. Other mistakes in the URL raise nothing here.
    """
    # The driver's sentence could quote a piece of an unescaped password.
    if "@" in url.partition("?")[2]:
        return
    try:
        plain = first_server_url(url)
        pool = ConnectionPool.from_url(plain)
        pool.connection_class(**pool.connection_kwargs)
        options = parse_qs(urlsplit(plain).query)
    except (TypeError, ValueError, RedisError) as wrong:
        found = _UNKNOWN.search(str(wrong)) or _VALUE.search(str(wrong))
        if found:
            raise _refused(url, found[0]) from None
        return
    for name in FILES:
        for path in options.get(name, ()):
            if not Path(path).is_file():
                raise _refused(url, f"{name}: there is no such file")


def _refused(url: str, sentence: str) -> ValueError:
    scheme = url.partition(":")[0].replace("rediss", "redis")
    return ValueError(f"a {scheme} URL cannot have this option: {sentence}")
