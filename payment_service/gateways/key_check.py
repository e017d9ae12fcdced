"""The result of a check whether a provider accepts an account's credentials."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

CHECK_SECONDS = 10.0


class KeyCheck(Struct, frozen=True):
    """The result; `sentence` is the provider's or libcurl's, without secrets, unless accepted."""

    result: Literal["accepted", "refused", "unknown"]
    sentence: str | None = None
