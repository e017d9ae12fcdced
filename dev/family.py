"""Processes that start and end together."""

from __future__ import annotations

import json
import signal
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

# The longest wait for a started process to answer, on a slow machine.
START_SECONDS = 30.0

# A server that answers with errors for this long needs a person.
ERROR_SECONDS = 5.0

POLL_SECONDS = 0.02


class CannotStartError(Exception):
    """A process cannot start, or has ended. The message is one line for the user."""


@dataclass(frozen=True, slots=True)
class Member:
    """A process and its name in messages."""

    name: str
    process: subprocess.Popen[bytes]


class Family:
    """Processes that end together: when one of them ends, on Ctrl-C, or on SIGTERM or SIGHUP.

    A context manager, which ends them.
    """

    def __init__(self) -> None:
        self._members: list[Member] = []
        self._told = threading.Event()
        for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(each, lambda *_: self._told.set())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    @property
    def told_to_end(self) -> bool:
        """Whether a signal arrived."""
        return self._told.is_set()

    def start(
        self, name: str, command: Sequence[str], environ: Mapping[str, str], quiet: bool = False
    ) -> int:
        """Start a process and return its ID; `name` names it in messages.

        It runs in a new session: Ctrl-C reaches only this process, which then ends all.
        """
        out = subprocess.DEVNULL if quiet else None
        child = subprocess.Popen(command, env=environ, stdout=out, start_new_session=True)  # noqa: S603
        self._members.append(Member(name, child))
        return child.pid

    def wait_for(self, name: str, url: str) -> None:
        """Wait until `url` answers 200, or a signal arrives.

        Raises CannotStartError if a process ends first, or if the time is over: with the error
        that `url` answers, if it answers one.
        """
        ends_at, said = time.monotonic() + START_SECONDS, ""
        while not self.told_to_end:
            self._refuse_ended("did not start")
            try:
                ask(url)
            except AnsweredError as answered:
                if not said:
                    ends_at = time.monotonic() + ERROR_SECONDS
                said = str(answered)
            except (OSError, ValueError):
                pass
            else:
                return
            if time.monotonic() > ends_at:
                raise CannotStartError(f"{name} is not ready: {said or 'it does not answer'}.")
            self._told.wait(POLL_SECONDS)

    def stay(self) -> None:
        """Wait for a signal. Raises CannotStartError if a process ends first."""
        while not self.told_to_end:
            self._refuse_ended("ended, and all that it works with is stopped")
            self._told.wait(0.2)

    def end(self) -> None:
        """End all processes, the last one first: the service may still need the sandbox."""
        for member in reversed(self._members):
            member.process.terminate()
            member.process.wait()

    def _refuse_ended(self, what: str) -> None:
        for member in self._members:
            code = member.process.poll()
            if code is not None and not self.told_to_end:
                how = f"signal {-code}" if code < 0 else f"exit code {code}"
                raise CannotStartError(f"{member.name} {what} ({how}); its own lines are above.")


class AnsweredError(Exception):
    """A server answered with an error. The message is what it said."""


def ask(url: str, body: Any = None) -> Any:
    """Get `url`, or post JSON there; return the JSON of the answer.

    Raises AnsweredError if the server answers with an error, OSError if there is no answer within
    two seconds, and ValueError if the answer is not JSON.
    """
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})  # noqa: S310
    try:
        # Ignore the environment's HTTP proxies: the request stays on this machine.
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(
            request, timeout=2
        ) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as answered:
        raise AnsweredError(_error_in(answered)) from None
    except urllib.error.URLError as failed:
        raise failed.reason if isinstance(failed.reason, OSError) else failed from None


def _error_in(answered: urllib.error.HTTPError) -> str:
    try:
        return str(json.load(answered)["error"]).rstrip(".")
    except (OSError, ValueError, KeyError, TypeError):
        return f"it answers {answered.code}"
