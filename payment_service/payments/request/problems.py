"""What is wrong with a request, in sentences: `field: rule`, and never a value."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

from payment_service.errors import BadRequest
from payment_service.schema.fields import Fault
from payment_service.schema.secret import redacted

# A body of 64 KiB can hold thousands of unknown names; a person reads a few.
MAX_SENTENCES = 5

# As many of a name as tell a person which one it is.
MAX_CHARACTERS = 40

# A secret that begins behind these is not shown: the name is cut before.
MAX_READ_CHARACTERS = 200

# The numbers of cards have 12 to 19.
SECRET_DIGITS = 12

_PLAIN = re.compile(f"[A-Za-z][A-Za-z_]{{0,{MAX_CHARACTERS - 1}}}")

# What a page would take for more than text, as JSON may write it, too.
_OF_PAGES = {ord(character): f"\\u{ord(character):04x}" for character in "<>&'"}


def bad_request(faults: Sequence[Fault]) -> BadRequest:
    """Make one BadRequest of all that is wrong: what is missing first, and alone."""
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
    """Return a name that a stranger chose: not where it may be a secret in the wrong place.

    One that does not look like a field is JSON text in ASCII, so that it can neither pass for
    another line or sentence nor hide a character that nobody sees.
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
