"""Copy every record to another store, while the service is stopped.

A copy that was interrupted can be run again: it leaves alone what the target already has. Where the
two stores differ, one of them has served since, and only a person knows which.
"""

from __future__ import annotations

from msgspec import Struct

from payment_service.key_store.contract import KeyStore, Order


class Copied(Struct, frozen=True):
    """How many records were copied, how many the target had, and which orders differ."""

    copied: int
    already_there: int
    differing: tuple[Order, ...] = ()


def copy(source: KeyStore, target: KeyStore, *, overwrite: bool = False) -> Copied:
    """Copy every record in one pass; raises StoreUnavailable.

    `overwrite` replaces the target's records that differ. It is off by default, because a record
    older than what the service did since would let it create a second PaymentIntent.
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
