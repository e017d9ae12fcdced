"""What the texts of a request may hold."""

from __future__ import annotations

import re

# Tab and line breaks are text; the rest is a sender's mistake, or somebody's attempt at a log.
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
_SURROGATE = re.compile("[\ud800-\udfff]")
_LETTER = re.compile("[A-Za-z]")

# The last dot of the domain is looked for once: a pattern that tries each dot takes quadratic time.
_EMAIL = re.compile(r"[^@\s]+@(?=[^@\s]+\Z)[^@\s]+\.[^@\s]+")


def free_text(given: str) -> str:
    """Return the text; raises ValueError for control characters other than tab and line breaks.

    Half of a surrogate pair, which no text in UTF-8 has, can be in what a token signs.
    """
    if _CONTROL.search(given):
        raise ValueError("must not hold control characters")
    if _SURROGATE.search(given):
        raise ValueError("must not hold half of a surrogate pair")
    return given


def email(given: str) -> str:
    """Return the address; raises ValueError for what cannot be one. Stripe looks closer."""
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
