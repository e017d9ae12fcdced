"""The demo's pages and their security headers; independent of Flask."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from string import Template

from msgspec import Struct

_HERE = Path(__file__).parent

_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
_SHARED = ("page.css", "icon.svg")
_CHECKOUT = (
    "card_form.js",
    "checkout.css",
    "checkout.js",
    "diary.js",
    "messages.js",
    "money.js",
    "order.js",
    "pay.js",
    "tries.js",
    "view.js",
)

_FAULTS = ("faults.css", "faults.js", "lanes.js", "scenarios.js")

STRIPE_JS = "https://js.stripe.com"

# What Stripe.js itself needs (docs.stripe.com/security/guide#content-security-policy): its API,
# and the frames of the card form and of a bank's second step.
_STRIPE_CONNECT = "https://api.stripe.com"
_STRIPE_FRAMES = "https://js.stripe.com https://hooks.stripe.com"


class Demo(Struct, frozen=True):
    """The URLs of the demo's other servers, as the browser reaches them; None if one is absent.

    `stage_url` is the server that runs the tutorials' code for comparison. `api_key` is that of the
    page's own client, `client_id`; None if access is open. `paypal_url` is PayPal's stand-in.
    `gateways`: those that the page may ask for, where the service has several.
    """

    sandbox_url: str | None = None
    stage_url: str | None = None
    api_key: str | None = None
    paypal_url: str | None = None
    gateways: Sequence[str] = ()
    client_id: str | None = None


class Page(Struct, frozen=True):
    """A static response."""

    body: bytes
    headers: Mapping[str, str]


def open_pages(demo: Demo) -> dict[str, Page]:
    """Read the demo's files once; return each path and its page."""
    pages = {"/": _page(demo, "index.html", _checkout_policy(demo))}
    names: tuple[str, ...] = _SHARED + _CHECKOUT
    if demo.sandbox_url and demo.stage_url:
        pages["/demo/faults"] = _page(demo, "faults.html", _faults_policy(demo))
        names += _FAULTS
    return pages | {f"/checkout/{name}": static_file(_HERE / name) for name in names}


def static_file(path: Path) -> Page:
    """Read a file, with the headers of its type."""
    headers = {
        "Content-Type": _TYPES[path.suffix],
        "Cache-Control": "no-cache",
        "X-Content-Type-Options": "nosniff",
    }
    return Page(path.read_bytes(), headers)


def _page(demo: Demo, name: str, policy: str) -> Page:
    file = static_file(_HERE / name)
    text = Template(file.body.decode()).substitute(
        stripe_js=f"{demo.sandbox_url or STRIPE_JS}/v3/",
        mode=_mode(demo),
        sandbox_url=demo.sandbox_url,
        stage_url=demo.stage_url,
        gateways=" ".join(demo.gateways),
        paypal_url=demo.paypal_url or "",
        client=demo.client_id or "",
        authorization=f"Bearer {demo.api_key}" if demo.api_key else "",
    )
    headers = {
        **file.headers,
        "Content-Security-Policy": policy,
        # When Stripe redirects the shopper back, the URL briefly contains a client_secret.
        "Referrer-Policy": "strict-origin",
    }
    return Page(text.encode(), headers)


def _mode(demo: Demo) -> str:
    """Return the mode, which selects the visible parts of the page (see page.css)."""
    if not demo.sandbox_url:
        return "test"
    return "sandbox faults" if demo.stage_url else "sandbox"


def _checkout_policy(demo: Demo) -> str:
    """Allow only our own files and Stripe's, or the sandbox's; nothing inline."""
    stripe = demo.sandbox_url
    return _policy(
        script=f"'self' {stripe or STRIPE_JS}",
        connect=f"'self' {stripe or _STRIPE_CONNECT}",
        frame=stripe or _STRIPE_FRAMES,
    )


def _faults_policy(demo: Demo) -> str:
    servers = filter(None, (demo.sandbox_url, demo.stage_url, demo.paypal_url))
    return _policy(script="'self'", connect=f"'self' {' '.join(servers)}")


def _policy(*, script: str, connect: str, frame: str = "'none'") -> str:
    return (
        f"default-src 'none'; script-src {script}; connect-src {connect}; frame-src {frame}; "
        "style-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    )
