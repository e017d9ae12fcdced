"""What each setting may be: functions that return it, or raise ValueError with the rule.

Beside settings/, which is about where settings come from and what they are together.
"""

from __future__ import annotations

import os
import re
from ipaddress import IPv6Address
from pathlib import Path

from payment_service.key_store import checked_url
from payment_service.schema.secret import Secret

SECRET_KEY_PREFIXES = ("sk_test_", "sk_live_", "rk_test_", "rk_live_")
SECRET_KEY = rf"({'|'.join(SECRET_KEY_PREFIXES)})[!-~]+"

# As browsers send it: lower case, no path, and nothing that could be read as a pattern.
ORIGIN = r"https?://[a-z0-9.-]+(:[0-9]{1,5})?"

# Names as DNS has them, and underscores, which those of containers have; no user, no fragment.
_LABEL = "[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?"
_HOST = rf"{_LABEL}(\.{_LABEL})*\.?|\[(?P<ipv6>[0-9a-f:.]+)\]"
ADDRESS = re.compile(
    rf"https?://({_HOST})(:(?P<port>[0-9]{{1,5}}))?(/[^\s?#]*)?(\?[^\s#]*)?",
    re.ASCII | re.IGNORECASE,
)

# What a live key is refused with, and may be allowed with: access/live_mode.py says of each why.
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


def secret_key(value: Secret) -> Secret:
    if not re.fullmatch(SECRET_KEY, value.get_secret_value()):
        raise ValueError(
            f"must begin with one of {', '.join(SECRET_KEY_PREFIXES)} and go on without spaces"
        )
    return value


def publishable_key(value: str) -> str:
    if not value.startswith(("pk_test_", "pk_live_")):
        raise ValueError("must begin with pk_test_ or pk_live_")
    return value


def webhook_secrets(value: Secret) -> Secret:
    if not all(part.strip() for part in value.get_secret_value().split(",")):
        raise ValueError("must be one or more secrets, separated by commas, none of them empty")
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


def whole(text: str) -> int | str:
    """As Python reads it; what is none is left for the rule of the setting."""
    try:
        return int(text)
    except ValueError:
        return text


def number(text: str) -> float | str:
    """As Python reads it, `.5` too; what is none is left for the rule of the setting."""
    try:
        return float(text)
    except ValueError:
        return text


def switch(text: str) -> bool | str:
    """As people write it; what is neither is left for the rule of the setting."""
    return SWITCHES.get(text.lower(), text)


def names(value: str) -> list[str]:
    return [part.strip() for part in value.split(",")]


def writable_directory(value: Path) -> Path:
    if not value.is_dir() or not os.access(value, os.W_OK | os.X_OK):
        raise ValueError("must be a directory that exists and may be written to")
    return value


def base_url(value: str) -> str:
    """What paths are put behind."""
    if "?" in value or not _is_address(value):
        raise ValueError(
            "must be an address like https://api.stripe.com, with no user, query or fragment"
        )
    return _lower_scheme(value).rstrip("/")


def listener_url(value: str) -> str:
    """What is posted to, as it is written."""
    if not _is_address(value):
        raise ValueError(
            "must be an address like https://shop.example/order-events, with no user or fragment"
        )
    return _lower_scheme(value)


def _is_address(value: str) -> bool:
    found = ADDRESS.fullmatch(value)
    if not found or not value.isprintable() or not 1 <= int(found["port"] or 80) <= 65535:
        return False
    try:
        return not found["ipv6"] or bool(IPv6Address(found["ipv6"]))
    except ValueError:
        return False


def _lower_scheme(value: str) -> str:
    scheme, _, rest = value.partition(":")
    return f"{scheme.lower()}:{rest}"


def store_url(value: Secret) -> Secret:
    """A secret because the URL may carry a password."""
    return Secret(checked_url(value.get_secret_value()))
