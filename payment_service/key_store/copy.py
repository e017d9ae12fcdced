"""`python -m payment_service.key_store.copy FROM TO`: carry every record to another store.

For a service that is stopped. A copy that broke off is begun again: what the target already has is
left as it is. Where the two differ, one store has served since, and only a person knows which.
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from payment_service.key_store import checked_url, open_key_store
from payment_service.key_store.contract import KeyStore, Order, StoreUnavailable

# Of the orders whose records differ, so many are named.
NAMED = 5


@dataclass(frozen=True, slots=True)
class Copied:
    """How many records were carried over, how many the target had, and which it has otherwise."""

    carried: int
    there_before: int
    differing: tuple[Order, ...] = ()


def copy(source: KeyStore, target: KeyStore, *, overwrite: bool = False) -> Copied:
    """Carry every record over, in one go; raises StoreUnavailable.

    `overwrite`: what the target has otherwise is replaced. A record that is older than what the
    service did since would let it make a second PaymentIntent.
    """
    carried = there_before = 0
    differing: list[Order] = []
    for record in source.scan():
        held = target.read(record.order)
        if held == record:
            there_before += 1
        elif held is not None and not overwrite:
            differing.append(record.order)
        else:
            if held is not None:
                target.forget(held)
            target.claim(record)
            carried += 1
    return Copied(carried, there_before, tuple(differing))


class CannotCopyError(Exception):
    """The message is one line for a person, and shows no URL."""


def main() -> None:
    """Copy, and say how many, or why not."""
    parser = argparse.ArgumentParser(
        prog="python -m payment_service.key_store.copy", description=__doc__
    )
    parser.add_argument("source", metavar="FROM", help="KEY_STORE_URL until now")
    parser.add_argument("target", metavar="TO", help="KEY_STORE_URL from now on")
    parser.add_argument(
        "--overwrite",
        action="store_true",
        help="where TO has a record otherwise, take FROM's: TO has not served",
    )
    options = parser.parse_args()
    # What a store warns of, the service says when it starts.
    logging.getLogger("payment_service.key_store").setLevel(logging.ERROR)
    try:
        done = _copy_between(
            _source(options.source), _checked("TO", options.target), overwrite=options.overwrite
        )
    except CannotCopyError as wrong:
        sys.exit(str(wrong))
    print(f"{done.carried} records carried over, {done.there_before} were there")  # noqa: T201
    if done.differing:
        sys.exit(_differing(done.differing))


def _differing(orders: Sequence[Order]) -> str:
    named = ", ".join(repr(each.order_id) for each in orders[:NAMED])
    more = ", ..." if len(orders) > NAMED else ""
    return (
        f"{len(orders)} records are not the same in TO ({named}{more}): one of the two has served "
        "since they were carried over. Do not start with TO: where it was FROM that served, copy "
        "again with --overwrite"
    )


def _source(given: str) -> str:
    url = _checked("FROM", given)
    if url.startswith("sqlite:") and not Path(url.removeprefix("sqlite:///")).exists():
        raise CannotCopyError("FROM: there is no such SQLite file")
    return url


def _checked(name: str, given: str) -> str:
    try:
        url = checked_url(given)
    except ValueError as wrong:
        raise CannotCopyError(f"{name}: {wrong}") from None
    if url.startswith("memory:"):
        raise CannotCopyError(f"{name}: only the service itself can see what memory:// holds")
    return url


def _copy_between(source_url: str, target_url: str, *, overwrite: bool) -> Copied:
    with (
        closing(open_key_store(source_url)) as source,
        closing(open_key_store(target_url)) as target,
    ):
        _look_for("FROM", source)
        _look_for("TO", target)
        try:
            return copy(source, target, overwrite=overwrite)
        except StoreUnavailable as wrong:
            raise CannotCopyError(f"Broken off, begin again: {wrong}") from wrong


def _look_for(name: str, store: KeyStore) -> None:
    try:
        store.ping()
    except StoreUnavailable as wrong:
        raise CannotCopyError(f"{name}: {wrong}") from wrong


if __name__ == "__main__":
    main()
