"""Flask for an API of fixed paths, JSON answers and no sessions: all else is left out.

Each override is one that Flask offers; together they save a third of what Flask costs.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any

from flask import Flask, Request, Response
from flask.json.provider import DefaultJSONProvider
from flask.sessions import NullSession, SessionInterface
from werkzeug.datastructures import Headers
from werkzeug.routing import Map, MapAdapter, Rule

_to_json = json.JSONEncoder(separators=(",", ":")).encode


class JsonResponse(Response):
    """Everything is JSON here, an empty body included."""

    default_mimetype = "application/json"

    def get_wsgi_headers(self, environ: Mapping[str, Any]) -> Headers:
        """Return them as they are: no answer of ours has a Location that would have to be whole."""
        if self.status_code == 200 and "Content-Length" in self.headers:
            return self.headers
        return super().get_wsgi_headers(environ)  # type: ignore[arg-type]


class Json(DefaultJSONProvider):
    """Answers of plain values, in the order in which they are given."""

    sort_keys = False

    def response(self, *args: Any, **kwargs: Any) -> Response:
        """Return the answer; the encoder is made once, not for each."""
        said = self._prepare_response_obj(args, kwargs)
        return JsonResponse(f"{_to_json(said)}\n", content_type=JsonResponse.default_mimetype)


class NoSessions(SessionInterface):
    """Nobody's requests belong together: there are no cookies."""

    _none = NullSession()

    def open_session(self, *_: object) -> NullSession:
        """Return the session that holds nothing."""
        return self._none


class Routes(MapAdapter):
    """The routes as one request sees them; a path without parameters is looked up as it is.

    werkzeug finds it with a function that refers to itself: eight objects a request that only the
    garbage collector frees, all requests waiting for it (0.1 s at a time, on a busy worker).
    """

    def __init__(self, routes: Map, fixed: Mapping[tuple[str, str], Rule], asked: Request) -> None:
        super().__init__(
            routes,
            server_name="",
            script_name="/",
            subdomain="",
            url_scheme=asked.scheme,
            path_info=asked.path,
            default_method=asked.method,
        )
        self._fixed = fixed

    def match(self, *args: Any, **kwargs: Any) -> Any:
        """Return the rule, or its endpoint, and the values in the path, as werkzeug does."""
        asks_for_another = args or kwargs.keys() - {"return_rule"}
        rule = self._fixed.get((self.path_info, self.default_method))
        if rule is None or asks_for_another:
            return super().match(*args, **kwargs)
        return (rule if kwargs.get("return_rule") else rule.endpoint), {}


class App(Flask):
    """Flask, with views and hooks that are plain functions, found by path and method alone."""

    json_provider_class = Json
    response_class = JsonResponse
    session_interface = NoSessions()

    def __init__(self, name: str) -> None:
        super().__init__(name, static_folder=None)
        # A redirect would be a page of HTML, and a client would send its payment twice.
        self.url_map.merge_slashes = False

    def ensure_sync(self, func: Callable[..., Any]) -> Callable[..., Any]:
        """Return the function as it is: Flask would ask six times a request whether it is async."""
        return func

    def create_url_adapter(self, request: Request | None) -> MapAdapter | None:
        """Bind the routes to a request, whatever its Host, and whatever protocol it would rather.

        A server may ignore Upgrade (RFC 9110, 7.8), and one that speaks HTTP/1.1 alone does.
        """
        if request is None:
            return super().create_url_adapter(request)
        return Routes(self.url_map, self._fixed_paths, request)

    @cached_property
    def _fixed_paths(self) -> dict[tuple[str, str], Rule]:
        """By path and method; Flask takes no further route once it has had a request."""
        found: dict[tuple[str, str], Rule] = {}
        for rule in self.url_map.iter_rules():
            if "<" not in rule.rule:
                for method in rule.methods or ():
                    found.setdefault((rule.rule, method), rule)
        return found
