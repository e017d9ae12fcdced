"""Stripe's search query language, for the fields of PaymentIntents (docs.stripe.com/search)."""

from __future__ import annotations

import re
from dataclasses import dataclass

from sandbox.answers import JsonObject, Refusal, refusal

NUMERIC = ("amount", "created")
TOKENS = ("currency", "customer", "status")

_CLAUSE = re.compile(
    r"""\s*(?P<minus>-)?
    (?: metadata\[ (?P<quote>['"]) (?P<name>(?:\\.|(?!(?P=quote)).)*) (?P=quote) \]
      | (?P<field>[a-z_]+) )
    \s*(?P<operator>>=|<=|[:~><])\s*
    (?: (?P<q>['"]) (?P<text>(?:\\.|(?!(?P=q)).)*) (?P=q) | (?P<bare>[^\s'"]+) )""",
    re.VERBOSE | re.DOTALL,
)
_JOIN = re.compile(r"\s+(?:(AND|OR)\s+)?", re.IGNORECASE)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Clause:
    """`field operator value`, possibly negated; `name` is the key of a metadata clause."""

    field: str
    operator: str
    value: str | None
    negated: bool = False
    name: str = ""

    def matches(self, intent: JsonObject) -> bool:
        """Whether a PaymentIntent matches this clause; text is compared ignoring case."""
        return self._holds(intent) is not self.negated

    def _holds(self, intent: JsonObject) -> bool:
        found = intent["metadata"].get(self.name) if self.name else intent[self.field]
        if self.value is None or found is None:
            return found is None and self.value is None
        if self.field in NUMERIC:
            return _compare(int(found), self.operator, int(self.value))
        wanted, found = self.value.casefold(), str(found).casefold()
        return wanted in found if self.operator == "~" else wanted == found


@dataclass(frozen=True, slots=True)
class Query:
    """Clauses joined by AND or by OR; Stripe does not allow a mixture."""

    clauses: tuple[Clause, ...]
    any_of: bool = False

    def matches(self, intent: JsonObject) -> bool:
        """Whether a PaymentIntent matches."""
        held = (clause.matches(intent) for clause in self.clauses)
        return any(held) if self.any_of else all(held)

    def metadata_pair(self) -> tuple[str, str] | None:
        """Return a metadata pair that every match must have, so that an index can be used."""
        for clause in () if self.any_of else self.clauses:
            if clause.name and clause.operator == ":" and clause.value and not clause.negated:
                return clause.name, clause.value
        return None


def parse_query(query: str) -> Query:
    """Parse a query, or raise Stripe's 400."""
    clauses, joins, at = [], set(), 0
    while True:
        match = _CLAUSE.match(query, at)
        if not match:
            raise _unreadable(query)
        clauses.append(_clause(match, query))
        at = match.end()
        if not query[at:].strip():
            break
        join = _JOIN.match(query, at)
        if not join:
            raise _unreadable(query)
        joins.add((join[1] or "AND").upper())
        at = join.end()
    if len(joins) > 1:
        raise refusal("You can't combine AND and OR in the same search query.", param="query")
    return Query(tuple(clauses), joins == {"OR"})


def _clause(match: re.Match[str], query: str) -> Clause:
    field = "metadata" if match["name"] is not None else match["field"]
    clause = Clause(field, match["operator"], _value(match), bool(match["minus"]), _name(match))
    if field != "metadata" and field not in NUMERIC + TOKENS:
        raise refusal(f"Field `{field}` is an unsupported search field.", param="query")
    if field in NUMERIC and not _is_number(clause):
        raise _unreadable(query)
    if field not in NUMERIC and clause.operator not in (":", "~"):
        message = f"Operator `{clause.operator}` is not supported for the field `{field}`."
        raise refusal(message, param="query")
    return clause


def _name(match: re.Match[str]) -> str:
    return _ESCAPED.sub(r"\1", match["name"] or "")


def _value(match: re.Match[str]) -> str | None:
    if match["bare"] is not None:
        return None if match["bare"] == "null" else match["bare"]
    return _ESCAPED.sub(r"\1", match["text"])


def _is_number(clause: Clause) -> bool:
    return (clause.value or "").lstrip("-").isdecimal() and clause.operator != "~"


def _compare(found: int, operator: str, value: int) -> bool:
    match operator:
        case ":":
            return found == value
        case ">":
            return found > value
        case "<":
            return found < value
        case ">=":
            return found >= value
        case _:
            return found <= value


def _unreadable(query: str) -> Refusal:
    message = (
        f"We were unable to parse your search query: {query!r}. See https://stripe.com/docs/search."
    )
    return refusal(message, param="query")
