"""Warnings about variables that look like settings and are none: misspelt, or from Kubernetes."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from difflib import get_close_matches

# Nothing else has settings that begin like this.
PREFIXES = ("STRIPE_", "PAYPAL_", "ORDER_EVENTS_", "KEY_STORE_", "RATE_LIMIT_")

# How alike a name without our prefixes must be to a setting's: CORS_ORIGIN and CORS_ORIGINS are
# 0.96, WEB_CONCURENCY 0.97, TRUSTED_PROXY and TRUSTED_PROXIES 0.86.
NEARLY_THE_SAME = 0.85

# Other software's names for our settings, which are nearer to another one.
ELSEWHERE = {"STRIPE_API_KEY": "STRIPE_SECRET_KEY", "STRIPE_PUBLIC_KEY": "STRIPE_PUBLISHABLE_KEY"}

# Settings whose names all software shares, so that other software has similar ones: HTTP_PROXY,
# CURL_CA_BUNDLE, NIX_SSL_CERT_FILE.
SHARED = frozenset({"HTTPS_PROXY", "NO_PROXY", "CA_BUNDLE", "SSL_CERT_FILE"})

# The variables that Kubernetes sets in each pod for every Service of its namespace. Docker's old
# links have the same form.
_LINK = re.compile(
    r"(?P<service>[A-Z0-9_]+?)_(?:SERVICE_HOST|SERVICE_PORT(?:_[A-Z0-9_]+)?"
    r"|PORT(?:_[0-9]+_(?:TCP|UDP|SCTP)(?:_(?:PROTO|PORT|ADDR))?)?)"
)
_ADDRESS = re.compile(r"(?:tcp|udp|sctp)://")

REMEDY = "set `enableServiceLinks: false` in the pod's spec, or rename the Service"


def name_warnings(given: Mapping[str, str], known: Collection[str]) -> list[str]:
    """Return a sentence for each unknown name, and for each Service whose variables are in `given`.

    `known` are the settings. A blank variable counts as absent.
    """
    unknown = [name for name, text in given.items() if text.strip() and name not in known]
    links: dict[str, list[str]] = {}
    warnings: list[str] = []
    for name in sorted(unknown):
        service = _service_of(name, given[name]) if name.startswith(PREFIXES) else None
        if service:
            links.setdefault(service, []).append(name)
        else:
            warnings += _misspelt(name, known)
    return warnings + [
        f"Kubernetes set {', '.join(names)} for a Service named {service}: {REMEDY}"
        for service, names in links.items()
    ]


def link_problem(name: str, text: str) -> str | None:
    """Return why a setting has an invalid value, if Kubernetes set it for a Service."""
    service = _service_of(name, text) if _ADDRESS.match(text) else None
    return service and f"Kubernetes set it for a Service named {service}: {REMEDY}"


def _misspelt(name: str, known: Collection[str]) -> Iterator[str]:
    ours = name.startswith(PREFIXES)
    own = [each for each in known if each not in SHARED]
    nearest = get_close_matches(name, own, 1, 0.6 if ours else NEARLY_THE_SAME)
    if nearest:
        meant = ELSEWHERE.get(name, nearest[0])
        yield f"{name} is not a setting and has no effect: did you mean {meant}?"
    elif ours:
        yield f"{name} is not a setting and has no effect: docs/settings.md lists the settings"


def _service_of(name: str, text: str) -> str | None:
    found = _LINK.fullmatch(name)
    if not found or (name.endswith("_PORT") and not (_ADDRESS.match(text) or text.isdecimal())):
        return None
    return found["service"].lower().replace("_", "-")
