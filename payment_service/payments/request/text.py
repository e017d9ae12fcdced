"""Checks of the texts in a request."""

from __future__ import annotations

import re

# Tab and line breaks are text; other control characters are a mistake or a log injection.
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
_SURROGATE = re.compile("[\ud800-\udfff]")
_LETTER = re.compile("[A-Za-z]")

# Searches for the domain's last dot once: a pattern that tries each dot takes quadratic time.
_EMAIL = re.compile(r"[^@\s]+@(?=[^@\s]+\Z)[^@\s]+\.[^@\s]+")


def free_text(given: str) -> str:
    """Return the text; raises ValueError for control characters other than tab and line breaks.

    A token's payload can contain half of a surrogate pair, which no UTF-8 text has.
    """
    if _CONTROL.search(given):
        raise ValueError("must not hold control characters")
    if _SURROGATE.search(given):
        raise ValueError("must not hold half of a surrogate pair")
    return given


def email(given: str) -> str:
    """Return the address; raises ValueError if it cannot be one. Stripe checks more closely."""
    if not given.isprintable() or not _EMAIL.fullmatch(given):
        raise ValueError("must be an e-mail address")
    return given


def descriptor_suffix(given: str) -> str:
    """Return the text for the card statement; raises ValueError.

    Source: docs.stripe.com/get-started/account/statement-descriptors, "requirements".
    """
    if not given.isprintable() or not _LETTER.search(given) or set(given) & set("<>\\'\"*"):
        raise ValueError("must hold a letter, and none of < > \\ ' \" *")
    return given
