"""GET /docs: the OpenAPI document as a static page, without scripts or external resources."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from html import escape
from pathlib import Path
from string import Template
from typing import Any

# No scripts; only the page's own inline style and its empty icon.
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'"
)

_HTML = Path(__file__).with_name("page.html")

_CODE = re.compile("`([^`]+)`")

_GUARDED = (
    "Send `Authorization: Bearer …` with an order's token, signed by the shop, or with a client's "
    "API key. Updates, cancellations, captures, refunds and lists of orders need the API key. "
    "A webhook proves itself by its gateway's signature. The configuration and the health checks "
    "are public."
)
_OPEN = (
    "None: this service has no clients file, so every caller may use every route. A webhook proves "
    "itself by its gateway's signature."
)

Json = Mapping[str, Any]


def page(document: Json, host: str) -> str:
    """Return the page in HTML. `host` is the service's own name and port, for the examples."""
    info, schemas = document["info"], document["components"]["schemas"]
    operations = [
        (method.upper(), path, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]
    guarded = any("security" in operation for _, _, operation in operations)
    return Template(_HTML.read_text("utf-8")).substitute(
        title=escape(info["title"]),
        version=escape(info["version"]),
        description=_text(info["description"]),
        authentication=_text(_GUARDED if guarded else _OPEN),
        operations="\n".join(_operation(*each, schemas, host) for each in operations),
    )


def _operation(method: str, path: str, operation: Json, schemas: Json, host: str) -> str:
    body = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
    name = body.get("schema", {}).get("$ref", "").rpartition("/")[2]
    answer = operation["responses"]["200"]["content"]["application/json"]["example"]
    parts = [
        f"<h2><code>{method} {escape(path)}</code></h2>",
        f"<p><b>{_text(operation['summary'])}.</b> {_text(operation.get('description', ''))}</p>",
        _fields("Parameters", map(_parameter, operation["parameters"])),
        _fields("Fields", _properties(schemas[name])) if name else "",
        "<h3>Example</h3>",
        *_examples(method, host + path, operation, body),
        f"<p>Answer, 200:</p><pre><code>{escape(_json(answer))}</code></pre>",
        _errors(operation["responses"]),
    ]
    return f"<section>{''.join(parts)}</section>"


def _examples(method: str, address: str, operation: Json, body: Json) -> Iterable[str]:
    token = ['-H "Authorization: Bearer $TOKEN"'] if "security" in operation else []
    if method == "GET":
        yield _shell("", [f"'{address}{_query(operation['parameters'])}'", *token])
    for example in body.get("examples", {}).values():
        if "$ref" in body["schema"]:
            sent = ["-H 'Content-Type: application/json'", f"-d '{json.dumps(example['value'])}'"]
            yield _shell(example["summary"], [address, *token, *sent])
        else:
            summary, value = _text(example["summary"]), escape(_json(example["value"]))
            yield f"<p>{summary}:</p><pre><code>{value}</code></pre>"


def _shell(summary: str, arguments: list[str]) -> str:
    command = escape(" \\\n  ".join([f"curl {arguments[0]}", *arguments[1:]]))
    shown = f"<p>{_text(summary)}:</p>" if summary else ""
    return f"{shown}<pre><code>{command}</code></pre>"


def _query(parameters: Iterable[Json]) -> str:
    given = [each for each in parameters if each["in"] == "query" and each["required"]]
    pairs = "&".join(f"{each['name']}={_found_example(each['schema'])}" for each in given)
    return f"?{pairs}" if pairs else ""


Row = tuple[str, bool, str, str]


def _parameter(given: Json) -> Row:
    place = " (header)" if given["in"] == "header" else ""
    rule = given.get("description") or given["schema"].get("description", "")
    return given["name"] + place, given["required"], rule, _example(given["schema"])


def _properties(schema: Json) -> Iterable[Row]:
    for name, field in schema["properties"].items():
        yield name, name in schema["required"], _rule(field), _example(field)


def _fields(heading: str, rows: Iterable[Row]) -> str:
    cells = [
        (f"<code>{escape(name)}</code>", _use(required=required), _text(rule), example)
        for name, required, rule, example in rows
    ]
    return _table(heading, (heading.removesuffix("s").lower(), "use", "rule", "example"), cells)


def _use(*, required: bool) -> str:
    return "required" if required else "optional"


def _errors(answers: Mapping[str, Json]) -> str:
    rows = [_error(status, each) for status, each in answers.items() if status != "200"]
    return _table("Errors", ("status", "code", "action", "when"), rows) if rows else ""


def _error(status: str, response: Json) -> tuple[str, ...]:
    rules = response["content"]["application/json"]["schema"]["allOf"][1]["properties"]
    code = rules["code"]
    words = [f"`{word}`" for word in code.get("enum", code.get("examples"))]
    words += ["Stripe's own"] if "examples" in code else []
    actions = [f"`{word}`" for word in rules["action"]["enum"]]
    return (
        status,
        _text(", ".join(words)),
        _text(", ".join(actions)),
        _text(response["description"]),
    )


def _table(heading: str, names: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    """Return a table; on a phone, each row becomes a block that repeats the names (page.html)."""
    head = "".join(f"<th scope=col>{name}</th>" for name in names)
    body = "".join(
        "<tr>"
        + "".join(
            f'<td data-name="{name}">{cell}</td>' for name, cell in zip(names, cells, strict=True)
        )
        + "</tr>"
        for cells in rows
    )
    return f"<h3>{heading}</h3><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _rule(field: Json) -> str:
    default = f" (default {field['default']})" if "default" in field else ""
    return f"{field.get('description', '').removeprefix('must be ')}{default}"


def _example(field: Json) -> str:
    found = _found_example(field)
    return "" if found is None else f"<code>{escape(json.dumps(found))}</code>"


def _found_example(field: Json) -> Any:
    places = [field, *field.get("anyOf", [])]
    return next((place["examples"][0] for place in places if "examples" in place), None)


def _json(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)


def _text(text: str) -> str:
    """Escape the text, and mark what is between backticks as code."""
    return _CODE.sub(r"<code>\1</code>", escape(text))
