"""Lua scripts, and calls of them on one key."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

Command = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Script:
    """A script and its SHA-1, by which Redis runs it once it is loaded."""

    text: str
    sha: str

    @classmethod
    def of(cls, text: str) -> Script:
        return cls(text, hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest())


@dataclass(frozen=True, slots=True)
class ScriptCall:
    """A call of a script on one key; the command `around` is sent before and after it.

    `more_keys`: further keys, which are in the same slot.
    """

    script: Script
    key: str
    values: tuple[Any, ...]
    around: Command | None = None
    more_keys: tuple[str, ...] = ()

    def command(self) -> Command:
        keys = self.key, *self.more_keys
        return ("EVALSHA", self.script.sha, len(keys), *keys, *self.values)
