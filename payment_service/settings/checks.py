"""Checks of single settings: functions that return the value or raise ValueError with the rule."""

from __future__ import annotations

import os
import re
import ssl
from ipaddress import IPv6Address
from pathlib import Path

from payment_service.key_store import validate_url
from payment_service.schema.secret import Secret

# As browsers send an origin: lower case, no path, and no characters of a pattern.
ORIGIN = r"https?://[a-z0-9.-]+(:[0-9]{1,5})?"

# DNS names, and underscores for container names; no user, no fragment.
_LABEL = "[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?"
_HOST = rf"{_LABEL}(\.{_LABEL})*\.?|\[(?P<ipv6>[0-9a-f:.]+)\]"
ADDRESS = re.compile(
    rf"https?://({_HOST})(:(?P<port>[0-9]{{1,5}}))?(/[^\s?#]*)?(\?[^\s#]*)?",
    re.ASCII | re.IGNORECASE,
)

# Perhaps with a user and a password, in which `/`, `:`, `@`, `?`, `#` and `%` are %-encoded.
_USER = r"(?:[!-\"$&-.0-9;->A-~]|%(?!00)[0-9a-f]{2})*"
PROXY = re.compile(
    rf"https?://({_USER}(:{_USER})?@)?({_HOST})(:(?P<port>[0-9]{{1,5}}))?/?",
    re.ASCII | re.IGNORECASE,
)

# Values of ALLOW_UNSAFE_LIVE; access/live_mode.py and Settings have the reason for each.
HAZARDS = (
    "open_access",
    "memory_store",
    "sandbox_address",
    "plain_http",
    "debug",
    "sandbox_secret",
)

SWITCHES = {
    **dict.fromkeys(("1", "true", "t", "yes", "y", "on"), True),
    **dict.fromkeys(("0", "false", "f", "no", "n", "off"), False),
}


def demo_key(value: Secret) -> Secret:
    # A dot would make it an order token.
    if not re.fullmatch("[A-Za-z0-9_-]{20,200}", value.get_secret_value()):
        raise ValueError("must be 20 to 200 letters, digits, _ and -")
    return value


def hazards(value: str) -> str:
    if not set(names(value)) <= set(HAZARDS):
        raise ValueError(f"must be some of {', '.join(HAZARDS)}")
    return value


def origins(value: str) -> str:
    for each in names(value):
        if not re.fullmatch(ORIGIN, each):
            raise ValueError("must be origins like https://shop.example, separated by commas")
    return value


def as_integer(text: str) -> int | str:
    """Parse an integer; leave other text for the setting's rule to reject."""
    try:
        return int(text)
    except ValueError:
        return text


def as_number(text: str) -> float | str:
    """Parse a number; leave other text for the setting's rule to reject."""
    try:
        return float(text)
    except ValueError:
        return text


def as_list(text: str) -> str:
    """Remove the spaces around the parts of a list; leave other text to the setting's rule."""
    return ",".join(names(text.lower()))


def as_boolean(text: str) -> bool | str:
    """Parse yes or no; leave other text for the setting's rule to reject."""
    return SWITCHES.get(text.lower(), text)


def names(value: str) -> list[str]:
    return [part.strip() for part in value.split(",")]


def writable_directory(value: Path) -> Path:
    if not value.is_dir() or not os.access(value, os.W_OK | os.X_OK):
        raise ValueError("must be a directory that exists and is writable")
    return value


def base_url(value: str) -> str:
    """Check a base URL, to which paths are appended."""
    if "?" in value or not _is_address(value):
        raise ValueError(
            "must be an address like https://api.stripe.com, with no user, query or fragment"
        )
    return _lower_scheme(value).rstrip("/")


def origin(value: str) -> str:
    """Check the origin of a shop's pages, as browsers write it."""
    if not re.fullmatch(ORIGIN, value):
        raise ValueError("must be an origin like https://shop.example, in lower case, no path")
    return value


def listener_url(value: str) -> str:
    """Check the URL of a webhook listener, which is used unchanged."""
    if not _is_address(value):
        raise ValueError(
            "must be an address like https://shop.example/order-events, with no user or fragment"
        )
    return _lower_scheme(value)


def shop_page(value: str) -> str:
    """Check the URL of a shop's page to which PayPal sends the shopper."""
    filled = value.replace("{order_id}", "A-1")
    if filled == value or "{" in filled or not _is_address(filled):
        raise ValueError(
            "must be an address with {order_id} in it, like https://shop.example/paid?order={order_id}"
        )
    return _lower_scheme(value)


def _is_address(value: str) -> bool:
    found = ADDRESS.fullmatch(value)
    return bool(found and value.isprintable() and _can_be_called(found))


def _can_be_called(found: re.Match[str]) -> bool:
    """Whether the port and an IPv6 address are possible ones."""
    if not 1 <= int(found["port"] or 80) <= 65535:
        return False
    try:
        return not found["ipv6"] or bool(IPv6Address(found["ipv6"]))
    except ValueError:
        return False


def _lower_scheme(value: str) -> str:
    scheme, _, rest = value.partition(":")
    return f"{scheme.lower()}:{rest}"


def proxy_url(value: Secret) -> Secret:
    """Check a proxy's address; it is a secret because it may contain a password."""
    found = PROXY.fullmatch(value.get_secret_value())
    if not (found and _can_be_called(found)):
        raise ValueError(
            "must be an address like http://proxy.example:3128 or http://user:password@…"
        )
    return value


def ca_bundle(value: Path) -> Path:
    """Check a file of certificate authorities."""
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(value)
    except OSError as wrong:
        raise ValueError("must be a readable file with certificates in PEM format") from wrong
    return value


def store_url(value: Secret) -> Secret:
    """Check KEY_STORE_URL; it is a secret because it may contain a password."""
    return Secret(validate_url(value.get_secret_value()))
