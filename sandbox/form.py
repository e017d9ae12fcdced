"""Parse form-encoded text with bracketed names into nested dicts, as Stripe does."""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote_plus

from sandbox.answers import refusal

Form = dict[str, Any]

# Deeper than any of Stripe's parameters, and a bound on the memory that a request can use.
MAX_DEPTH = 8


def decode_form(text: str) -> Form:
    """Parse `a=1&b[c]=2&d[]=3&d[]=4&e[0]=5`; arrays become dicts of positions ("0", "1", ...).

    The parameter's rule decides whether such a dict is an array or a hash with numeric names.
    """
    form: Form = {}
    for pair in text.split("&"):
        if pair:
            name, _, value = pair.partition("=")
            _put(form, _plain(name), _plain(value))
    return form


def _plain(text: str) -> str:
    try:
        return unquote_plus(text, errors="strict")
    except UnicodeDecodeError:
        raise refusal("Invalid UTF-8 in the request.") from None


def _put(form: Form, name: str, value: str) -> None:
    if "[" not in name:
        form[name] = value
        return
    *path, last = _steps(name)
    inner = form
    for step in path:
        inner = _descend(inner, step, name)
    inner[last or str(len(inner))] = value


def _steps(name: str) -> list[str]:
    head, _, rest = name.partition("[")
    steps = [head, *rest.removesuffix("]").split("][")]
    if not head or not rest.endswith("]") or len(steps) > MAX_DEPTH or _has_stray_bracket(steps):
        raise refusal(f"Invalid parameter name: {name}", param=name)
    return steps


def _has_stray_bracket(steps: list[str]) -> bool:
    return any("[" in step or "]" in step for step in steps)


def _descend(inner: Form, step: str, name: str) -> Form:
    found = inner.setdefault(step or str(len(inner)), {})
    if not isinstance(found, dict):
        raise refusal(f"Invalid parameter: {name} is given both as a value and a hash", param=name)
    return found
