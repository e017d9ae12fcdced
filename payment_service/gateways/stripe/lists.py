"""Stripe's PaymentIntents page by page; for a busy account, time slices in parallel."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import Any, Protocol, TypeVar

from msgspec import Struct
from msgspec.structs import replace

from payment_service.errors import GatewayFailed, Refused
from payment_service.gateways.calls import Answer, Call
from payment_service.gateways.contract import NoSuchIntent
from payment_service.gateways.deadline import Deadline
from payment_service.gateways.intent import Intent
from payment_service.gateways.stripe.intents import UnreadableIntent, read_intent
from payment_service.gateways.stripe.paths import INTENTS, SEARCH

# Stripe's maximum for one page.
PAGE_SIZE = 100

# A page takes Stripe about 0.4 s, so a request has time for about fifty pages in sequence: five and
# a half minutes of an account that creates fifteen PaymentIntents a second. Beyond the first few
# pages we read time slices in parallel. More slices would only hit Stripe's rate limiter.
PAGES_IN_TURN, SLICES = 5, 6

# The look-ups per process that read slices at the same time; the others read pages in sequence.
SLICED_AT_A_TIME = 2

T = TypeVar("T")

Wanted = Callable[[Mapping[str, Any]], bool]
Deadlines = Callable[[], Deadline]


class Ask(Protocol):
    """Sends a call and parses the answer by the deadline. Raises PaymentError, NoSuchIntent."""

    def __call__(self, call: Call, deadline: Deadline, read: Callable[[Answer], T]) -> T: ...


class Stretch(Struct, frozen=True):
    """Whole seconds of Stripe's clock, first and last inclusive; `last` None means up to now."""

    first: int
    last: int | None

    @property
    def filter(self) -> dict[str, int]:
        """The value of Stripe's `created` parameter."""
        return {"gte": self.first} | ({} if self.last is None else {"lte": self.last})


class Page(Struct, frozen=True):
    """The wanted PaymentIntents of a page, and the cursor of the next page.

    The cursor of a list is the id of its last object; that of a search is its next_page.
    `oldest`: when the last object was created.
    """

    intents: list[Intent]
    has_more: bool
    last_id: str | None
    oldest: int | None
    next_page: str | None = None


class Pages:
    """Reads lists and searches to their ends; shared by all threads.

    Objects that are not wanted are skipped without conversion.
    """

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self._sliced = threading.BoundedSemaphore(SLICED_AT_A_TIME)

    def in_turn(self, stretch: Stretch, deadline: Deadlines, wanted: Wanted) -> Iterator[Intent]:
        """Yield what was created in a stretch, newest first. `deadline` is called for each page."""
        for page in self._list(stretch, deadline, wanted):
            yield from page.intents

    def all(self, stretch: Stretch, deadline: Deadline, wanted: Wanted) -> list[Intent]:
        """Return what was created in a stretch; the same object may occur twice."""
        found: list[Intent] = []
        for number, page in enumerate(self._list(stretch, lambda: deadline, wanted), start=1):
            found += page.intents
            many = page.has_more and number >= PAGES_IN_TURN
            if many and page.oldest is not None and self._sliced.acquire(blocking=False):
                try:
                    rest = Stretch(stretch.first, page.oldest)
                    return found + self._side_by_side(rest, deadline, wanted)
                finally:
                    self._sliced.release()
        return found

    def search(self, query: str, deadline: Deadline, wanted: Wanted) -> Iterator[Intent]:
        """Yield the results of Stripe's search."""
        params: dict[str, Any] = {"query": query, "limit": PAGE_SIZE}
        while True:
            call = Call("get", SEARCH, params)
            page = self._ask(call, deadline, lambda answer: _read_search_page(answer, wanted))
            yield from page.intents
            if page.next_page is None:
                return
            params = {**params, "page": page.next_page}

    def _list(self, stretch: Stretch, deadline: Deadlines, wanted: Wanted) -> Iterator[Page]:
        params: dict[str, Any] = {"created": stretch.filter, "limit": PAGE_SIZE}
        while True:
            call = Call("get", INTENTS, params)
            try:
                page = self._ask(call, deadline(), lambda answer: _read_page(answer, wanted))
            except (Refused, NoSuchIntent) as refused:
                # The client did not cause this, so the error must not blame its request.
                raise GatewayFailed("Stripe did not list the PaymentIntents.") from refused
            yield page
            if not page.has_more or page.last_id is None:
                return
            params = {**params, "starting_after": page.last_id}

    def _side_by_side(self, rest: Stretch, deadline: Deadline, wanted: Wanted) -> list[Intent]:
        """Read slices in parallel. Each ends by the deadline, or soon after another one fails."""
        failed = threading.Event()

        def read(stretch: Stretch) -> list[Intent]:
            found: list[Intent] = []
            try:
                for page in self._list(stretch, lambda: deadline, wanted):
                    found += page.intents
                    if failed.is_set():
                        break
            except BaseException:
                failed.set()
                raise
            return found

        slices = cut(rest, SLICES)
        with ThreadPoolExecutor(len(slices), thread_name_prefix="pages") as pool:
            try:
                tasks = [pool.submit(copy_context().run, read, each) for each in slices]
            except RuntimeError:
                # The process is exiting and its pools accept no work, or it has no threads left.
                # Read everything here, even what some slices have begun; ignore their failures.
                failed.set()
                return list(self.in_turn(rest, lambda: deadline, wanted))
            return [intent for task in tasks for intent in task.result()]


def cut(stretch: Stretch, most: int) -> list[Stretch]:
    """Cut a stretch that has a last second into `most` pieces, or into fewer of 1 s each."""
    assert stretch.last is not None
    seconds = max(1, stretch.last - stretch.first + 1)
    pieces = min(most, seconds)
    begins = [stretch.first + seconds * piece // pieces for piece in range(pieces + 1)]
    return [Stretch(begins[i], begins[i + 1] - 1) for i in range(pieces)]


def _read_page(answer: Answer, wanted: Wanted) -> Page:
    """Read a page of a list or search, and convert the wanted objects.

    We skip objects of other software: they may lack fields that ours have, such as client_secret.
    """
    rows = answer.body["data"]
    if not isinstance(rows, list) or not all(isinstance(each, dict) for each in rows):
        raise UnreadableIntent("not a list")
    has_more, last = answer.body.get("has_more") is True, rows[-1] if rows else {}
    oldest = last.get("created")
    return Page(
        intents=[read_intent(each) for each in rows if wanted(each)],
        has_more=has_more,
        last_id=last["id"] if rows else None,
        oldest=oldest if isinstance(oldest, int) else None,
    )


def _read_search_page(answer: Answer, wanted: Wanted) -> Page:
    page = _read_page(answer, wanted)
    return replace(page, next_page=answer.body["next_page"]) if page.has_more else page
