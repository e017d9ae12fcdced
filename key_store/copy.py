"""`python -m key_store.copy FROM TO`: carry every record to another store.

For a service that is stopped. What the target already has is left as it is, so that a copy that
broke off is begun again.
"""

from __future__ import annotations

import argparse
import logging
import sys
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from key_store import checked_url, open_key_store
from key_store.contract import KeyStore, StoreUnavailable


@dataclass(frozen=True, slots=True)
class Copied:
    """How many records were carried over, and how many the target had."""

    carried: int
    there_before: int


def copy(source: KeyStore, target: KeyStore) -> Copied:
    """Carry every record over, in one go; raises StoreUnavailable."""
    carried = there_before = 0
    for record in source.scan():
        if target.read(record.order) is not None:
            there_before += 1
        else:
            target.claim(record)
            carried += 1
    return Copied(carried, there_before)


class CannotCopyError(Exception):
    """The message is one line for a person, and shows no URL."""


def main() -> None:
    """Copy, and say how many, or why not."""
    parser = argparse.ArgumentParser(prog="python -m key_store.copy", description=__doc__)
    parser.add_argument("source", metavar="FROM", help="KEY_STORE_URL until now")
    parser.add_argument("target", metavar="TO", help="KEY_STORE_URL from now on")
    options = parser.parse_args()
    # What a store warns of, the service says when it starts.
    logging.getLogger("key_store").setLevel(logging.ERROR)
    try:
        done = _copy_between(_source(options.source), _checked("TO", options.target))
    except CannotCopyError as wrong:
        sys.exit(str(wrong))
    print(f"{done.carried} records carried over, {done.there_before} were there")  # noqa: T201


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


def _copy_between(source_url: str, target_url: str) -> Copied:
    with (
        closing(open_key_store(source_url)) as source,
        closing(open_key_store(target_url)) as target,
    ):
        _look_for("FROM", source)
        _look_for("TO", target)
        try:
            return copy(source, target)
        except StoreUnavailable as wrong:
            raise CannotCopyError(f"Broken off, begin again: {wrong}") from wrong


def _look_for(name: str, store: KeyStore) -> None:
    try:
        store.ping()
    except StoreUnavailable as wrong:
        raise CannotCopyError(f"{name}: {wrong}") from wrong


if __name__ == "__main__":
    main()
