"""What is wrong with a request, in sentences: `field: rule`, and never a value."""

from __future__ import annotations

import re
from collections.abc import Sequence

from field_rules import Fault
from payment.errors import BadRequest

# A body of 64 KiB can hold thousands of unknown names; a person reads a few.
MAX_SENTENCES = 5

# A name that is shown must look like a misspelt field, not like a secret or a page of HTML.
_SHOWN = re.compile(r"[A-Za-z][A-Za-z_]{0,39}")


def bad_request(faults: Sequence[Fault]) -> BadRequest:
    """Make one BadRequest of all that is wrong: what is missing first, and alone."""
    missing = [each.name for each in faults if each.kind == "missing"]
    if missing:
        message = f"Missing required parameters: {', '.join(missing)}"
        return BadRequest(message, code="missing_parameter", param=missing[0])
    sentences = list(dict.fromkeys(map(_sentence, faults)))
    hidden = len(sentences) - MAX_SENTENCES
    more = [f"and {hidden} more"] if hidden > 0 else []
    param = sentences[0].partition(":")[0]
    return BadRequest("; ".join(sentences[:MAX_SENTENCES] + more), param=param)


def _sentence(fault: Fault) -> str:
    if fault.kind == "unknown":
        shown = fault.name if _SHOWN.fullmatch(fault.name) else "a field"
        return f"{shown}: is not a field of this request"
    return f"{fault.name}: {fault.rule}" if fault.name else fault.rule
