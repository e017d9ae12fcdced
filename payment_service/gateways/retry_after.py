"""The Retry-After header (RFC 9110): seconds or a date."""

from __future__ import annotations

import math
import time
from email.utils import parsedate_to_datetime

# The longest Retry-After that we accept: rate limits last seconds, and outages less than a day.
MOST_RETRY_AFTER_SECONDS = 86_400.0


def seconds_of(text: str | None) -> float | None:
    """Return the seconds to wait; None without a readable header."""
    if not text:
        return None
    try:
        seconds = float(text)
    except ValueError:
        seconds = _seconds_until(text)
    return min(max(0.0, seconds), MOST_RETRY_AFTER_SECONDS) if math.isfinite(seconds) else None


def _seconds_until(text: str) -> float:
    """Return the seconds until a date; NaN if it is no date or its numbers are too large."""
    try:
        return parsedate_to_datetime(text).timestamp() - time.time()
    except (ValueError, OverflowError):
        return math.nan
