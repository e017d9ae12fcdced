"""API keys of clients and operators: the clients file has only the SHA-256 of each."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Iterable, Sequence
from typing import Annotated, Protocol, TypeVar

from payment_service.schema.fields import rule

_SHA256 = re.compile("[0-9a-f]{64}")


class KeyHolder(Protocol):
    """A caller that proves who it is with one of these keys."""

    @property
    def api_keys_sha256(self) -> Sequence[str]:
        """The SHA-256 of each key, in hexadecimal digits."""
        ...


Holder = TypeVar("Holder", bound=KeyHolder)


def _digests(values: list[str]) -> list[str]:
    if not all(_SHA256.fullmatch(each) for each in values):
        raise ValueError("must be the SHA-256 of a key: 64 hexadecimal digits")
    return values


Digests = Annotated[list[str], rule("must be a list of strings", then=_digests)]


def digest_of(key: str) -> str:
    """Return the SHA-256 of a key, in hexadecimal digits."""
    return hashlib.sha256(key.encode()).hexdigest()


def holder_of(key: str, holders: Iterable[Holder]) -> Holder | None:
    """Return the holder of this key. Compares all keys, each in constant time."""
    digest, found = digest_of(key), None
    for holder in holders:
        for known in holder.api_keys_sha256:
            if hmac.compare_digest(digest, known):
                found = holder
    return found
