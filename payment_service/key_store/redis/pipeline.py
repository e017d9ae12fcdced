"""Sends many commands to Redis in one round trip to each server; each has its own answer."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from types import MappingProxyType
from typing import Any

from msgspec import Struct
from redis import ConnectionPool, RedisError
from redis.exceptions import AskError, NoScriptError, ReadOnlyError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from payment_service.key_store.redis.script import Command, ListEntry, Script, ScriptCall
from payment_service.key_store.redis.servers import Servers

# A key, and commands that its server runs in this order.
Unit = tuple[str, tuple[Command, ...]]

# Sends of a command that no server ran: to a failed server's successor, after a redirection, and
# after loading a script.
MAX_SENDS = 6

# The results of a script that has written its record: nil after a claim.
WRITTEN = (None, 1)


class NotSentError(Exception):
    """Connecting failed: the server got nothing."""

    def __init__(self, cause: RedisError) -> None:
        super().__init__(str(cause))
        self.cause = cause


class NotReplicatedError(RedisError):
    """Too few replicas confirmed the writes in time; the master has them."""


class Pipeline:
    """Sends commands to the servers of their keys. redis-py's own pipeline takes twice as long.

    A command is sent again only if certainly no server ran it. With `wait_replicas`, a script's
    result counts only after that many replicas have it.
    """

    def __init__(self, servers: Servers, wait_replicas: int = 0) -> None:
        self._servers, self._wait_replicas = servers, wait_replicas

    def run(self, calls: Sequence[ScriptCall], give_up_at: float) -> list[Any]:
        """Return for each call its script's result, or its RedisError."""
        loads = {call.script.sha: call.script for call in calls}
        main = [(call.key, (call.command(lists=self._servers.is_one),)) for call in calls]
        around = {
            n: (str(call.around[1]), (call.around,)) for n, call in enumerate(calls) if call.around
        }
        if self._servers.is_one:
            units = [
                (key, (*around[n][1], *commands, *around[n][1]) if n in around else commands)
                for n, (key, commands) in enumerate(main)
            ]
            return self._exchange(units, give_up_at, loads)
        # Without its entry in the index, a record would never become due.
        answers = self._exchange_some(around, give_up_at)
        indexed = {
            n: unit for n, unit in enumerate(main) if not isinstance(answers.get(n), RedisError)
        }
        listed = {n: call.listed for n, call in enumerate(calls) if call.listed and n in indexed}
        answers |= self._exchange_listed(listed, indexed, give_up_at, loads)
        again = self._exchange_some(around, give_up_at)
        answers |= {n: each for n, each in again.items() if isinstance(each, RedisError)}
        return [answers[n] for n in range(len(calls))]

    def read(self, commands: Sequence[tuple[str, Command]], give_up_at: float) -> list[Any]:
        """Return the answers to commands on keys; raise the first RedisError."""
        return _no_errors(
            self._exchange([(key, (command,)) for key, command in commands], give_up_at)
        )

    def read_from(self, pool: ConnectionPool, command: Command, give_up_at: float) -> Any:
        """Return one server's answer. Raises RedisError."""
        try:
            return _no_errors(self._send(pool, [command], give_up_at))[0]
        except NotSentError as failed:
            raise failed.cause from None

    def _exchange_listed(
        self,
        listed: Mapping[int, ListEntry],
        units: Mapping[int, Unit],
        give_up_at: float,
        loads: Mapping[str, Script],
    ) -> dict[int, Any]:
        """Return the answers to the units, whose records are listed around them.

        Lists and record are usually on the same server, and then the lists come first in the same
        round trip. An order is not rejected because its lists are on a server that fails.
        """
        before = [unit for each in listed.values() for unit in each.before()]
        answers = self._exchange([*before, *units.values()], give_up_at, loads)[len(before) :]
        found = dict(zip(units, answers, strict=True))
        written = [each for n, each in listed.items() if found[n] in WRITTEN]
        self._exchange([unit for each in written for unit in each.after()], give_up_at)
        return found

    def _exchange_some(self, units: Mapping[int, Unit], give_up_at: float) -> dict[int, Any]:
        answers = self._exchange(list(units.values()), give_up_at)
        return dict(zip(units, answers, strict=True))

    def _exchange(
        self,
        units: Sequence[Unit],
        give_up_at: float,
        loads: Mapping[str, Script] = MappingProxyType({}),
    ) -> list[Any]:
        """Return the answer or the RedisError of each unit."""
        answers: list[Any] = [None] * len(units)
        todo = list(range(len(units)))
        for _ in range(MAX_SENDS):
            for pool, members in self._by_pool(todo, units, answers).items():
                self._try(pool, members, units, answers, give_up_at, loads)
            todo = [n for n in todo if self._may_send_again(units[n][0], answers[n])]
            if not todo or time.monotonic() >= give_up_at:
                break
        return [each.cause if isinstance(each, _Failed) else each for each in answers]

    def _by_pool(
        self, todo: Sequence[int], units: Sequence[Unit], answers: list[Any]
    ) -> dict[ConnectionPool, list[int]]:
        """Group units by the pool that each must be sent to; note errors in `answers`."""
        groups: dict[ConnectionPool, list[int]] = defaultdict(list)
        for n in todo:
            redirection = answers[n]
            try:
                if isinstance(redirection, AskError):
                    groups[self._servers.pool_after(redirection)].append(n)
                else:
                    groups[self._servers.pool_of(units[n][0])].append(n)
            except RedisError as failed:
                answers[n] = failed
        return groups

    def _may_send_again(self, key: str, answer: Any) -> bool:
        """Whether no server ran the unit, and another send may help."""
        if not isinstance(answer, _Failed):
            return isinstance(answer, (AskError, NoScriptError))
        try:
            return answer.is_unsent and self._servers.pool_of(key) is not answer.pool
        except RedisError:
            return False

    def _try(
        self,
        pool: ConnectionPool,
        members: Sequence[int],
        units: Sequence[Unit],
        answers: list[Any],
        give_up_at: float,
        loads: Mapping[str, Script],
    ) -> None:
        """Send the members' commands to one server, and fill in their answers."""
        sent = [
            ((("ASKING",),) if isinstance(answers[n], AskError) else ()) + units[n][1]
            for n in members
        ]
        try:
            got = iter(
                self._send(pool, [one for each in sent for one in each], give_up_at, bool(loads))
            )
        except (NotSentError, RedisError) as failed:
            self._servers.mistrust(pool)
            for n in members:
                answers[n] = _Failed.of(failed, pool)
            return
        for n, commands in zip(members, sent, strict=True):
            answers[n] = _answer([next(got) for _ in commands], len(units[n][1]))
        if any(isinstance(answers[n], NoScriptError) for n in members):
            self._load(pool, loads, give_up_at)

    def _load(self, pool: ConnectionPool, loads: Mapping[str, Script], give_up_at: float) -> None:
        """Load the scripts; if that fails, the next send fails as this one did."""
        with suppress(NotSentError, RedisError):
            commands = [("SCRIPT", "LOAD", script.text) for script in loads.values()]
            self._send(pool, commands, give_up_at)

    def _send(
        self,
        pool: ConnectionPool,
        commands: Sequence[Command],
        give_up_at: float,
        waits: bool = False,
    ) -> list[Any]:
        """Return the answers; raise RedisError if they are unknown, NotSentError if not sent."""
        try:
            connection: Any = pool.get_connection()
        except RedisError as failed:
            raise NotSentError(failed) from failed
        wait = self._wait_command(give_up_at) if waits else []
        try:
            connection.send_packed_command(connection.pack_commands([*commands, *wait]))
            answers = [_read(connection, give_up_at) for _ in [*commands, *wait]]
        except BaseException:
            # The next user would read the remaining answers as its own.
            connection.disconnect()
            raise
        else:
            if any(_is_read_only(each) for each in answers):
                # After a failover the name resolves to another server, but the old one may live
                # on as a replica and keep this connection open.
                connection.disconnect()
            return self._replicated(answers[: len(commands)], answers[len(commands) :])
        finally:
            pool.release(connection)

    def _wait_command(self, give_up_at: float) -> list[Command]:
        if not self._wait_replicas:
            return []
        # Half of what is left: the answer must come in time. 0 would wait without end.
        milliseconds = max(1, round((give_up_at - time.monotonic()) * 500))
        return [("WAIT", self._wait_replicas, milliseconds)]

    def _replicated(self, answers: list[Any], waited: list[Any]) -> list[Any]:
        if not waited or (isinstance(waited[0], int) and waited[0] >= self._wait_replicas):
            return answers
        lost = NotReplicatedError(f"WAIT {self._wait_replicas}: {waited[0]} replicas answered")
        return [each if isinstance(each, RedisError) else lost for each in answers]


def _read(connection: Any, give_up_at: float) -> Any:
    left = give_up_at - time.monotonic()
    if left <= 0:
        raise RedisTimeoutError("Redis took too long")
    try:
        return connection.read_response(timeout=left, disconnect_on_error=False)
    except ResponseError as refused:
        return refused


class _Failed(Struct, frozen=True):
    """The failure of a whole send to one server."""

    cause: RedisError
    pool: ConnectionPool
    is_unsent: bool

    @classmethod
    def of(cls, failed: RedisError | NotSentError, pool: ConnectionPool) -> _Failed:
        if isinstance(failed, NotSentError):
            return cls(failed.cause, pool, is_unsent=True)
        return cls(failed, pool, is_unsent=False)


def _answer(answers: list[Any], commands: int) -> Any:
    """Return the first error, or the answer to the middle one of a unit's commands."""
    refused = next((each for each in answers if isinstance(each, RedisError)), None)
    return refused or answers[-commands:][commands // 2]


def _no_errors(answers: list[Any]) -> list[Any]:
    for each in answers:
        if isinstance(each, RedisError):
            raise each
    return answers


def _is_read_only(answer: Any) -> bool:
    """Redis 6 gives the reason of a script's failure only in the message."""
    refused = isinstance(answer, ResponseError) and "READONLY" in str(answer)
    return refused or isinstance(answer, ReadOnlyError)
