"""Rebuilds the service in a forked process, for servers that load it before they fork.

A child must not use its parent's connections, locks and threads: two processes that share a
connection read each other's answers, and the threads do not exist in the child. The hook costs
nothing per request; without a fork it never runs.
"""

from __future__ import annotations

import importlib
import os
import threading
import weakref
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import Any

from flask import Flask

from payment_service.settings import SettingsError

# Freeing what the parent built would close the parent's connections.
_of_the_parent: list[object] = []


def rebuild_after_fork(app: Flask, build: Callable[[], Flask]) -> None:
    """Make `app` call `build` at the first request of each process that is forked from this one."""
    watched = weakref.ref(app)

    def in_child() -> None:
        if (forked := watched()) is not None:
            _of_the_parent.append(forked.wsgi_app)
            forked.wsgi_app = _rebuilding(forked, build)  # type: ignore[method-assign]

    os.register_at_fork(after_in_child=in_child)


def refuse_uwsgi_without_lazy_apps() -> None:
    """Raise SettingsError if uWSGI loads the service before it forks.

    It forks in C and does not call Python's hooks, so the children would share connections.
    """
    with suppress(ImportError):
        # Exists only inside uWSGI.
        uwsgi = importlib.import_module("uwsgi")
        if not {"lazy-apps", "lazy"} & set(uwsgi.opt):
            raise SettingsError(
                "uWSGI: set lazy-apps = true, so that each worker loads the service"
            )


def _rebuilding(app: Flask, build: Callable[[], Flask]) -> Callable[..., Iterable[bytes]]:
    building, built = threading.Lock(), [False]

    def wsgi_app(environ: Mapping[str, Any], start_response: Any) -> Iterable[bytes]:
        with building:
            if not built[0]:
                app.wsgi_app, built[0] = build().wsgi_app, True  # type: ignore[method-assign]
        return app.wsgi_app(environ, start_response)  # type: ignore[arg-type]

    return wsgi_app
