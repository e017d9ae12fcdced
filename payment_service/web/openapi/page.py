"""GET /docs: the OpenAPI document as a static page, without scripts or external resources."""

from __future__ import annotations

import json
from html import escape
from pathlib import Path
from string import Template
from typing import Any

# No scripts; only the page's own inline style.
CONTENT_SECURITY_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'"

_HTML = Path(__file__).with_name("page.html")


def page(document: dict[str, Any]) -> str:
    """Return the page in HTML."""
    info = document["info"]
    operations = [
        _operation(method, path, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]
    fields = _fields(document["components"]["schemas"]["PaymentRequest"])
    return Template(_HTML.read_text("utf-8")).substitute(
        title=escape(info["title"]),
        version=escape(info["version"]),
        description=escape(info["description"]),
        operations="\n".join(operations),
        fields=fields,
    )


def _operation(method: str, path: str, operation: dict[str, Any]) -> str:
    rows = "".join(_row(status, each) for status, each in operation["responses"].items())
    return (
        f"<section><h2><code>{escape(method.upper())} {escape(path)}</code></h2>"
        f"<p><b>{escape(operation['summary'])}.</b> {escape(operation.get('description', ''))}</p>"
        "<div class=wide><table><thead><tr><th scope=col>status<th scope=col>code"
        "<th scope=col>action<th scope=col>when</thead>"
        f"<tbody>{rows}</tbody></table></div></section>"
    )


def _row(status: str, response: dict[str, Any]) -> str:
    schema = response["content"]["application/json"]["schema"]
    rules = schema["allOf"][1]["properties"] if "allOf" in schema else {}
    code = rules.get("code", {})
    words = [*code["examples"], "Stripe's own"] if "examples" in code else code.get("enum", [])
    actions = rules.get("action", {}).get("enum", [])
    cells = [status, ", ".join(words), ", ".join(actions), response["description"]]
    return "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in cells) + "</tr>"


def _fields(schema: dict[str, Any]) -> str:
    return "".join(
        f"<tr><td><code>{escape(name)}</code></td>"
        f"<td>{'required' if name in schema['required'] else ''}</td>"
        f"<td>{escape(_rule(field))}</td><td><code>{escape(_example(field))}</code></td></tr>"
        for name, field in schema["properties"].items()
    )


def _rule(field: dict[str, Any]) -> str:
    default = f" (default {field['default']})" if "default" in field else ""
    return f"{field.get('description', '').removeprefix('must be ')}{default}"


def _example(field: dict[str, Any]) -> str:
    places = [field, *field.get("anyOf", [])]
    found = next((place["examples"][0] for place in places if "examples" in place), None)
    return "" if found is None else json.dumps(found)
