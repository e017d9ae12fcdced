"""The Retry-After header (RFC 9110): seconds or a date."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime

# The longest Retry-After that we accept: rate limits last seconds, and outages less than a day.
MOST_RETRY_AFTER_SECONDS = 86_400.0


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds of Retry-After; a date counts from the Date of the same answer.

    `headers` has lower-case names. None without a readable header.
    """
    text, now = headers.get("retry-after"), headers.get("date")
    if not text:
        return None
    try:
        seconds = float(text)
    except ValueError:
        seconds = _instant(text) - (_instant(now) if now else time.time())
    return min(max(0.0, seconds), MOST_RETRY_AFTER_SECONDS) if math.isfinite(seconds) else None


def _instant(date: str) -> float:
    """Return a date in Unix seconds; NaN if it is no date or its numbers are too large."""
    try:
        return parsedate_to_datetime(date).timestamp()
    except (ValueError, OverflowError):
        return math.nan
