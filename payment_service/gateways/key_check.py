"""The result of a check whether a provider accepts an account's credentials."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

CHECK_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class KeyCheck:
    """The result; `sentence` is the provider's or libcurl's, without secrets, unless accepted."""

    result: Literal["accepted", "refused", "unknown"]
    sentence: str | None = None
