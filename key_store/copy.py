"""`python -m key_store.copy FROM TO`: carry every record to another store.

For a service that is stopped. What the target already has is left as it is, so that a copy that
broke off is begun again.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass

from key_store import open_key_store
from key_store.contract import KeyStore


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


def main() -> None:
    """Copy, and say how many."""
    parser = argparse.ArgumentParser(prog="python -m key_store.copy", description=__doc__)
    parser.add_argument("source", metavar="FROM", help="KEY_STORE_URL until now")
    parser.add_argument("target", metavar="TO", help="KEY_STORE_URL from now on")
    options = parser.parse_args()
    source, target = open_key_store(options.source), open_key_store(options.target)
    done = copy(source, target)
    print(f"{done.carried} records carried over, {done.there_before} were there")  # noqa: T201
    source.close()
    target.close()


if __name__ == "__main__":
    main()
