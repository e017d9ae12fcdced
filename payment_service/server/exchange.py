"""gunicorn's WSGI environ and response, without the features that this service never uses.

Hooks, files, early hints and the access log are half of gunicorn's work once a request is read.
gunicorn still reads requests, validates headers and decides when a connection closes.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from email.utils import formatdate
from functools import lru_cache
from typing import Any

from gunicorn import SERVER, SERVER_SOFTWARE, util
from gunicorn.http.wsgi import Response

# Two headers that CGI, and therefore WSGI, names without HTTP_ (RFC 3875, 4.1).
_AS_CGI = {"CONTENT-TYPE": "CONTENT_TYPE", "CONTENT-LENGTH": "CONTENT_LENGTH"}


# gunicorn discards at most this much of an unread body before it closes the connection.
MOST_UNREAD_BYTES = 64 * 1024


class Answer(Response):  # type: ignore[misc]
    """gunicorn's response; the Date header is formatted once a second."""

    def should_close(self) -> bool:
        """Also close if too much of the body is unread: the next request would be lost."""
        return bool(super().should_close() or leaves_too_much(self.req))

    def default_headers(self) -> list[str]:
        """Return the status line and the headers that every response has."""
        if self.upgrade:
            return super().default_headers()  # type: ignore[no-any-return]
        major, minor = self.req.version
        connection = "close" if self.should_close() else "keep-alive"
        coding = "Transfer-Encoding: chunked\r\n" if self.chunked else ""
        return [
            f"HTTP/{major}.{minor} {self.status}\r\nServer: {SERVER}\r\n"
            f"Date: {_date(int(time.time()))}\r\nConnection: {connection}\r\n{coding}"
        ]


@lru_cache(2)
def _date(second: int) -> str:
    return formatdate(second, usegmt=True)


def common_environ(cfg: Any, client: Any, server: Any) -> Mapping[str, Any] | None:
    """Return the environ that a connection's requests share, or None if gunicorn's is needed."""
    inet = isinstance(client, tuple) and isinstance(server, tuple)
    proxied = cfg.proxy_protocol != "off"
    if not inet or proxied or cfg.is_ssl or cfg.accesslog or cfg.statsd_host:
        return None
    return {
        "wsgi.version": (1, 0),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": cfg.workers > 1,
        "wsgi.run_once": False,
        "wsgi.input_terminated": True,
        "SERVER_SOFTWARE": SERVER_SOFTWARE,
        "REMOTE_ADDR": client[0],
        "REMOTE_PORT": str(client[1]),
        "SERVER_NAME": server[0],
        "SERVER_PORT": str(server[1]),
        "SCRIPT_NAME": "",
    }


def environ_of(req: Any, common: Mapping[str, Any]) -> dict[str, Any]:
    """Return the environ (PEP 3333) of a request that gunicorn has read."""
    path, (major, minor) = req.path, req.version
    plain = path.isascii() and "%" not in path
    environ = {
        **common,
        "wsgi.input": req.body,
        "wsgi.url_scheme": req.scheme,
        "REQUEST_METHOD": req.method,
        "QUERY_STRING": req.query,
        "RAW_URI": req.uri,
        "SERVER_PROTOCOL": f"HTTP/{major}.{minor}",
        "PATH_INFO": path if plain else util.unquote_to_wsgi_str(path),
    }
    for name, value in req.headers:
        if name in _AS_CGI:
            environ[_AS_CGI[name]] = value
            continue
        key = "HTTP_" + name.replace("-", "_")
        environ[key] = f"{environ[key]},{value}" if key in environ else value
    return environ


def is_read(req: Any) -> bool:
    """Whether the request's body is known to have been read to its end."""
    return getattr(req.body.reader, "length", None) == 0


def leaves_too_much(req: Any) -> bool:
    """Whether more of the body may be unread than gunicorn discards before it closes."""
    reader = req.body.reader
    unfinished_chunks = getattr(reader, "parser", None) is not None
    return unfinished_chunks or getattr(reader, "length", 0) > MOST_UNREAD_BYTES
