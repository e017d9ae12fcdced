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
    """A call of a script on one key; the command `around` is sent before and after it."""

    script: Script
    key: str
    values: tuple[Any, ...]
    around: Command | None = None

    def command(self) -> Command:
        return ("EVALSHA", self.script.sha, 1, self.key, *self.values)
