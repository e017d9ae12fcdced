"""Lua scripts, and calls of them on one key."""

from __future__ import annotations

import hashlib
from typing import Any

from msgspec import Struct

Command = tuple[Any, ...]


class Script(Struct, frozen=True):
    """A script and its SHA-1, by which Redis runs it once it is loaded."""

    text: str
    sha: str

    @classmethod
    def of(cls, text: str) -> Script:
        return cls(text, hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest())


class ListEntry(Struct, frozen=True):
    """The record's place in the lists that pages are read from, by the names of their sets."""

    member: str
    score: float
    removed: tuple[str, ...] = ()
    added: tuple[str, ...] = ()

    @property
    def values(self) -> tuple[Any, ...]:
        """The last arguments of a script that writes the record and the lists."""
        return repr(self.score), self.member, len(self.removed)

    def before(self) -> list[tuple[str, tuple[Command, ...]]]:
        """Return the commands to send before the record, where its script cannot write the lists.

        A crash in between must leave a superfluous entry rather than a missing one.
        """
        return [(name, (("ZADD", name, "GT", *self.values[:2]),)) for name in self.added]

    def after(self) -> list[tuple[str, tuple[Command, ...]]]:
        """Return the commands to send once the record is written.

        They repeat the first ones, because a reader that found an entry without its record may
        have removed it.
        """
        removals = [(name, (("ZREM", name, self.member),)) for name in self.removed]
        return [*self.before(), *removals]


class ScriptCall(Struct, frozen=True):
    """A call of a script on one record; the command `around` is sent before and after it.

    `more_keys`: further keys, which are in the same slot.
    """

    script: Script
    key: str
    values: tuple[Any, ...]
    around: Command | None = None
    listed: ListEntry | None = None
    more_keys: tuple[str, ...] = ()

    def command(self, *, lists: bool = True) -> Command:
        """Return the command; with `lists`, the script writes the record's lists too."""
        named = (*self.listed.removed, *self.listed.added) if lists and self.listed else ()
        keys = (self.key, *self.more_keys, *named)
        return ("EVALSHA", self.script.sha, len(keys), *keys, *self.values)
