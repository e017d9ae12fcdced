"""What is wrong with a request, in sentences: `field: rule`, and never a value."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pydantic import BaseModel, ValidationError

from payment.errors import BadRequest

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

# A body of 64 KiB can hold thousands of unknown names; a person reads a few.
MAX_SENTENCES = 5

# A name that is shown must look like a misspelt field, not like a secret or a page of HTML.
_SHOWN = re.compile(r"[A-Za-z][A-Za-z_]{0,39}")


def bad_request(wrong: ValidationError, model: type[BaseModel]) -> BadRequest:
    """Turn pydantic's errors into one BadRequest: what is missing first, and alone."""
    errors = wrong.errors(include_url=False, include_input=False, include_context=False)
    missing = {str(error["loc"][0]) for error in errors if error["type"] == "missing"}
    if missing:
        names = [name for name in model.model_fields if name in missing]
        message = f"Missing required parameters: {', '.join(names)}"
        return BadRequest(message, code="missing_parameter", param=names[0])
    sentences = list(dict.fromkeys(_sentence(error, model) for error in errors))
    hidden = len(sentences) - MAX_SENTENCES
    more = [f"and {hidden} more"] if hidden > 0 else []
    param = sentences[0].partition(":")[0]
    return BadRequest("; ".join(sentences[:MAX_SENTENCES] + more), param=param)


def _sentence(error: ErrorDetails, model: type[BaseModel]) -> str:
    message = error["msg"].removeprefix("Value error, ")
    if not error["loc"]:
        return message
    name = str(error["loc"][0])
    if error["type"] == "extra_forbidden":
        shown = name if _SHOWN.fullmatch(name) else "a field"
        return f"{shown}: is not a field of this request"
    if error["type"] != "value_error":
        message = model.model_fields[name].description or message
    return f"{name}: {message}"
