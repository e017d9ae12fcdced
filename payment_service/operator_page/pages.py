"""The files of the operator's page and their security headers; independent of Flask."""

from __future__ import annotations

from pathlib import Path

from msgspec.structs import replace

from payment_service.checkout.pages import Page, static_file

_HERE = Path(__file__).parent
_CHECKOUT = Path(__file__).parents[1] / "checkout"

PATH = "/operator"

_OWN = (
    "api.js",
    "dialogs.js",
    "lists.js",
    "operator.css",
    "operator.js",
    "order.js",
    "reasons.js",
    "story.js",
    "view.js",
)

# The colours, the icon and the form of amounts are the checkout's, at its addresses.
_SHARED = ("page.css", "icon.svg", "money.js")

# Only our own files and routes; nothing inline, no text becomes HTML, no page may frame this one.
_POLICY = (
    "default-src 'none'; script-src 'self'; connect-src 'self'; style-src 'self'; "
    "img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)


def open_pages() -> dict[str, Page]:
    """Read the files once; return each path and its page."""
    files = {f"{PATH}/{name}": static_file(_HERE / name) for name in _OWN}
    files |= {f"/checkout/{name}": static_file(_CHECKOUT / name) for name in _SHARED}
    return {PATH: _page(static_file(_HERE / "index.html")), **files}


def _page(file: Page) -> Page:
    headers = {
        **file.headers,
        "Content-Security-Policy": _POLICY,
        "Cache-Control": "no-store",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Referrer-Policy": "no-referrer",
        "X-Robots-Tag": "noindex",
    }
    return replace(file, headers=headers)
