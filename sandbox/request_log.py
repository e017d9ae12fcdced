"""The request log: the latest requests, and counts of all of them."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import asdict, dataclass

from sandbox.answers import JsonObject
from sandbox.authentication import named_account
from sandbox.form import Form
from sandbox.request import Request

KEPT = 2_000


@dataclass(frozen=True, slots=True)
class Entry:
    """One request. `status` is None if there was no response; `at` is sandbox time."""

    at: float
    method: str
    path: str
    params: Form
    idempotency_key: str | None
    status: int | None
    replayed: bool = False
    fault: str | None = None
    request_id: str | None = None
    account: str | None = None


def entry_of(
    request: Request, at: float, status: int | None, fault: str | None, *, replayed: bool
) -> Entry:
    """Build the log entry of a request."""
    return Entry(
        at=at,
        method=request.method,
        path=request.path,
        params=request.params,
        idempotency_key=request.key,
        status=status,
        replayed=replayed,
        fault="+".join(filter(None, (fault, request.note))) or None,
        request_id=request.id or None,
        account=named_account(request.headers),
    )


class RequestLog:
    """Bounded in entries, unbounded in counts."""

    def __init__(self) -> None:
        self.entries: deque[Entry] = deque(maxlen=KEPT)
        self.counts: Counter[tuple[str | None, str, str, int | None]] = Counter()

    def add(self, entry: Entry) -> None:
        """Record one request."""
        self.entries.append(entry)
        self.counts[entry.account, entry.method, _template(entry.path), entry.status] += 1

    def shown(self) -> list[JsonObject]:
        """Return the entries as JSON, oldest first, without client_secrets."""
        return [{**asdict(entry), "params": _public(entry.params)} for entry in self.entries]

    def shown_counts(self, account: str | None = None) -> dict[str, int]:
        """Return counts by `POST /v1/payment_intents 200`, of one account or of all.

        The status is `none` for requests without a response.
        """
        found: Counter[str] = Counter()
        for (owner, method, path, status), count in sorted(self.counts.items(), key=str):
            if account in (None, owner):
                found[f"{method} {path} {status or 'none'}"] += count
        return dict(found)

    def copy(self) -> RequestLog:
        """Return an independent copy."""
        twin = RequestLog()
        twin.entries = self.entries.copy()
        twin.counts = self.counts.copy()
        return twin


def _template(path: str) -> str:
    parts = path.split("/")
    if len(parts) > 3 and parts[3] != "search":
        parts[3] = ":id"
    return "/".join(parts)


def _public(params: Form) -> Form:
    return {name: value for name, value in params.items() if name != "client_secret"}
