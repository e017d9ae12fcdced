"""`python -m payment_service.key_store.copy FROM TO`: copy every record to another store.

Stop the service first. An interrupted copy can be run again: it leaves the records that the target
already has. If a record differs in the two stores, one of them has served requests since, and only
a person knows which.
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from payment_service.key_store import open_key_store, validate_url
from payment_service.key_store.contract import KeyStore, Order, StoreUnavailable

# The message about differing records names this many orders.
MAX_NAMED = 5


@dataclass(frozen=True, slots=True)
class Copied:
    """How many records were copied, how many the target already had, and which ones differ."""

    copied: int
    already_there: int
    differing: tuple[Order, ...] = ()


def copy(source: KeyStore, target: KeyStore, *, overwrite: bool = False) -> Copied:
    """Copy every record. Raises StoreUnavailable.

    `overwrite` replaces the records that differ in the target. That is dangerous if the target
    has served requests: an outdated record would allow a second PaymentIntent.
    """
    copied = already_there = 0
    differing: list[Order] = []
    for record in source.scan():
        held = target.read(record.order)
        if held == record:
            already_there += 1
        elif held is not None and not overwrite:
            differing.append(record.order)
        else:
            if held is not None:
                target.forget(held)
            target.claim(record)
            copied += 1
    return Copied(copied, already_there, tuple(differing))


class CannotCopyError(Exception):
    """The copy cannot run; the message is one line and shows no URL."""


def main() -> None:
    """Copy the records; print the counts or the reason of a failure."""
    parser = argparse.ArgumentParser(
        prog="python -m payment_service.key_store.copy", description=__doc__
    )
    parser.add_argument("source", metavar="FROM", help="KEY_STORE_URL until now")
    parser.add_argument("target", metavar="TO", help="KEY_STORE_URL from now on")
    parser.add_argument(
        "--overwrite",
        action="store_true",
        help="replace records that differ in TO; only if TO has not served requests",
    )
    options = parser.parse_args()
    # The service logs the stores' warnings when it starts.
    logging.getLogger("payment_service.key_store").setLevel(logging.ERROR)
    try:
        done = _copy_urls(
            _source(options.source), _checked("TO", options.target), overwrite=options.overwrite
        )
    except CannotCopyError as error:
        sys.exit(str(error))
    print(f"{done.copied} records copied, {done.already_there} were there already")  # noqa: T201
    if done.differing:
        sys.exit(_differing(done.differing))


def _differing(orders: Sequence[Order]) -> str:
    named = ", ".join(repr(each.order_id) for each in orders[:MAX_NAMED])
    more = ", ..." if len(orders) > MAX_NAMED else ""
    return (
        f"{len(orders)} records differ in TO ({named}{more}): one of the two stores has served "
        "requests since an earlier copy. Do not start the service with TO. If FROM is the one that "
        "served, copy again with --overwrite"
    )


def _source(given: str) -> str:
    url = _checked("FROM", given)
    if url.startswith("sqlite:") and not Path(url.removeprefix("sqlite:///")).exists():
        raise CannotCopyError("FROM: the SQLite file does not exist")
    return url


def _checked(name: str, given: str) -> str:
    try:
        url = validate_url(given)
    except ValueError as error:
        raise CannotCopyError(f"{name}: {error}") from None
    if url.startswith("memory:"):
        raise CannotCopyError(f"{name}: only the running service can read memory://")
    return url


def _copy_urls(source_url: str, target_url: str, *, overwrite: bool) -> Copied:
    with (
        closing(open_key_store(source_url)) as source,
        closing(open_key_store(target_url)) as target,
    ):
        _check_available("FROM", source)
        _check_available("TO", target)
        try:
            return copy(source, target, overwrite=overwrite)
        except StoreUnavailable as error:
            raise CannotCopyError(f"Interrupted, run the copy again: {error}") from error


def _check_available(name: str, store: KeyStore) -> None:
    try:
        store.ping()
    except StoreUnavailable as error:
        raise CannotCopyError(f"{name}: {error}") from error


if __name__ == "__main__":
    main()
