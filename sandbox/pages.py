"""Files that a browser loads from the sandbox instead of from Stripe."""

from __future__ import annotations

from pathlib import Path

from sandbox.answers import Response

_HERE = Path(__file__).parent / "browser"

_SCRIPT = "text/javascript; charset=utf-8"

# Path → file in browser/ and content type.
FILES = {
    "/v3": ("stripe.js", _SCRIPT),
    "/v3/": ("stripe.js", _SCRIPT),
    "/v3/payment_element": ("payment_element.html", "text/html; charset=utf-8"),
    "/v3/payment_element.css": ("payment_element.css", "text/css; charset=utf-8"),
    "/v3/payment_element.js": ("payment_element.js", _SCRIPT),
    "/v3/card.js": ("card.js", _SCRIPT),
    # Every browser asks for it, and the API would answer 401.
    "/favicon.ico": ("icon.svg", "image/svg+xml"),
}

_HEADERS = {
    "Cache-Control": "no-cache",
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'"
    ),
}


def find_page(path: str) -> Response | None:
    """Return the file of a path, or None."""
    if path not in FILES:
        return None
    name, kind = FILES[path]
    return Response(200, {"Content-Type": kind, **_HEADERS}, (_HERE / name).read_bytes())
