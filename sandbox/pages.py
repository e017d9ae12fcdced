"""Files that a browser loads from the sandbox in place of Stripe's own addresses."""

from __future__ import annotations

from pathlib import Path

from sandbox.answers import Response

_HERE = Path(__file__).parent

# Path → file beside this one, and its type. A file that is not there is answered as any other path.
FILES = {
    "/v3": ("stripe_js.js", "text/javascript; charset=utf-8"),
    "/v3/": ("stripe_js.js", "text/javascript; charset=utf-8"),
}


def find_page(path: str) -> Response | None:
    """The file for a path, if there is one."""
    name, kind = FILES.get(path, ("", ""))
    file = _HERE / name
    if not name or not file.is_file():
        return None
    return Response(200, {"Content-Type": kind, "Cache-Control": "no-cache"}, file.read_bytes())
