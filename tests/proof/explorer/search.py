"""Runs schedules, all of them within a budget or some by seed, and counts."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from payment_service.key_store.contract import KeyStore
from tests.proof.explorer.actors import Asker, Canceler, Updater, Worker
from tests.proof.explorer.broken import Broken
from tests.proof.explorer.choices import Budget, Drawn, Guide, Path
from tests.proof.explorer.gated_actors import Asker2
from tests.proof.explorer.money_actors import Capturer, Refunder
from tests.proof.explorer.scenario import Scenario
from tests.proof.explorer.wires import StepStore
from tests.proof.explorer.world import Pruned, World

StoreOf = Callable[[StepStore], KeyStore]


@dataclass(frozen=True, slots=True)
class Finding:
    """A schedule that breaks the promise: the broken rule, and every non-default choice."""

    what: str
    scenario: str
    schedule: tuple[str, ...]

    def __str__(self) -> str:
        return "\n  ".join((f"{self.scenario}: {self.what}", *self.schedule))


@dataclass(slots=True)
class Count:
    """`merged` counts schedules that reached an already explored state."""

    schedules: int = 0
    merged: int = 0
    complete: bool = True
    findings: list[Finding] = field(default_factory=list)


class Explorer:
    """Explores one scenario."""

    def __init__(
        self,
        scenario: Scenario,
        store_of: StoreOf = lambda store: store,
        *,
        forgets: bool = True,
        pauses: bool = True,
    ) -> None:
        """`forgets`: the store may lose the record, or go back to an older version of it.

        `pauses`: at any step an owner may renew its lease, lose the answer, or be paused.
        """
        self._scenario, self._store_of = scenario, store_of
        self._forgets, self._pauses = forgets, pauses
        self._seen: dict[int, list[Budget]] = {}
        self._ends: set[int] = set()
        self.count = Count()

    def all(self, budget: Budget, *, until: float = float("inf"), most_findings: int = 1) -> Count:
        """Run every schedule within the budget, until this instant of time.monotonic()."""
        turns: list[int] | None = []
        while turns is not None:
            if time.monotonic() > until:
                self.count.complete = False
                break
            path = Path(budget, turns)
            self._one(path, len(turns), budget)
            turns = path.next_turns()
            if len(self.count.findings) >= most_findings:
                break
        return self.count

    def some(self, budget: Budget, seeds: Iterator[int], *, until: float, workers: int) -> Count:
        """Run schedules by seed until the time is up or one breaks the promise."""
        for seed in seeds:
            if time.monotonic() > until or self.count.findings:
                break
            self._one(Drawn(budget, seed), None, budget, workers)
        return self.count

    def _one(
        self, guide: Guide, known: int | None, budget: Budget, workers: int | None = None
    ) -> None:
        try:
            self._run(guide, known, budget, workers)
            self.count.schedules += 1
        except Pruned:
            self.count.merged += 1
        except Broken as broken:
            self.count.schedules += 1
            finding = Finding(str(broken), self._scenario.name, tuple(guide.taken))
            self.count.findings.append(finding)

    def _run(self, guide: Guide, known: int | None, budget: Budget, workers: int | None) -> None:
        world = World(
            guide,
            self._store_of,
            within_the_day=self._scenario.within_the_day,
            forgets=self._forgets,
            pauses=self._pauses,
            two=self._scenario.two,
        )
        self._scenario.before(world)
        amounts = self._scenario.amounts
        asked = [amounts[i % len(amounts)] for i in range(workers or len(amounts)) if amounts]
        team = self._askers(world, asked)
        team += [of(world, name) for name, of in self._scenario.beside.items()]
        world.run(team, lambda current: self._look(world, current, guide, known))
        if self._scenario.fresh:
            self._fresh(world, guide, budget.faults - guide.left.faults)
        world.judge.none_was_taken_back()
        world.judge.canceled_once(sum(isinstance(each, Canceler) for each in team))
        end = hash(world.state())
        if end not in self._ends and world.second:
            world.second.judge.end(self._scenario.last)
            self._ends.add(end)
        elif end not in self._ends:
            update = any(isinstance(each, Updater) for each in team)
            refunds = {each.refund_id: each.amount for each in team if isinstance(each, Refunder)}
            captures = [each.amount for each in team if isinstance(each, Capturer)]
            if refunds or captures:
                world.judge.money.end(list(refunds.items()), captures)
            world.judge.end(self._scenario.last, update=update)
            self._ends.add(end)

    def _askers(self, world: World, amounts: Sequence[int]) -> list[Worker]:
        named = [(f"w{i + 1}", amount) for i, amount in enumerate(amounts)]
        two = self._scenario.two
        if two is None:
            return [Asker(world, name, amount=amount) for name, amount in named]
        return [
            Asker2(world, name, amount=amount, accepts=two.accepts[i % len(two.accepts)])
            for i, (name, amount) in enumerate(named)
        ]

    def _fresh(self, world: World, guide: Guide, faults: int) -> None:
        if any(turn.endswith("is paused") for turn in guide.taken):
            # Another process may have taken over meanwhile.
            return
        if faults == 0:
            world.judge.one_call()
        if world.second:
            # Rule 14: a last write that fails costs the caller the answer.
            return
        for turn in guide.taken:
            name, step = turn.split(" ", 1)
            if faults == 1 and step.startswith("replace by created: "):
                world.judge.answered(name)

    def _look(self, world: World, current: Worker, guide: Guide, known: int | None) -> None:
        """Stop where an earlier schedule arrived with at least the same budget."""
        if known is None or not isinstance(guide, Path) or len(guide.widths) < known:
            return
        seen = self._seen.setdefault(world.signature(current), [])
        left = guide.left
        if any(left.faults <= each.faults and left.switches <= each.switches for each in seen):
            raise Pruned
        seen.append(left)
