"""Error messages for invalid requests: `field: rule`, and never a value."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

from payment_service.errors import BadRequest
from payment_service.schema.fields import Fault
from payment_service.schema.secret import redacted

# A body of 64 KiB can hold thousands of unknown names; a person reads a few.
MAX_SENTENCES = 5

# Enough of a name for a person to recognise it.
MAX_CHARACTERS = 40

# Only these are searched for secrets. A secret behind them is not shown, as the name is cut here.
MAX_READ_CHARACTERS = 200

# Card numbers have 12 to 19.
SECRET_DIGITS = 12

_PLAIN = re.compile(f"[A-Za-z][A-Za-z_]{{0,{MAX_CHARACTERS - 1}}}")

# JSON escapes for the characters that HTML treats as markup.
_OF_PAGES = {ord(character): f"\\u{ord(character):04x}" for character in "<>&'"}


def bad_request(faults: Sequence[Fault]) -> BadRequest:
    """Build one BadRequest from all faults. If fields are missing, it names only these."""
    missing = [each.name for each in faults if each.kind == "missing"]
    if missing:
        message = f"Missing required parameters: {', '.join(missing)}"
        return BadRequest(message, code="missing_parameter", param=missing[0])
    sentences = list(dict.fromkeys(map(_sentence, faults)))
    hidden = len(sentences) - MAX_SENTENCES
    more = [f"and {hidden} more"] if hidden > 0 else []
    param = faults[0].name or sentences[0].partition(":")[0]
    return BadRequest("; ".join(sentences[:MAX_SENTENCES] + more), param=param)


def _sentence(fault: Fault) -> str:
    if not fault.name and fault.kind == "broken":
        return fault.rule
    rule = "is not a field of this request" if fault.kind == "unknown" else fault.rule
    return f"{_shown(fault.name)}: {rule}"


def _shown(name: str) -> str:
    """Return a client's field name in a safe form, or "a field" if it may contain a secret.

    A name that does not look like a field is shown as JSON text in ASCII, so that it can neither
    imitate another line or sentence nor contain invisible characters.
    """
    name = name[:MAX_READ_CHARACTERS]
    if redacted(name) != name or sum(map(str.isdigit, name)) >= SECRET_DIGITS:
        return "a field"
    return name if _PLAIN.fullmatch(name) else f'"{_beginning(name)}"'


def _beginning(name: str) -> str:
    shown = ""
    for character in name:
        escaped = json.dumps(character)[1:-1].translate(_OF_PAGES)
        if len(shown + escaped) > MAX_CHARACTERS:
            return f"{shown}…"
        shown += escaped
    return shown
