"""Choices at the forks of a run: all paths within a budget, or random paths by seed."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Option:
    """One option at a fork. The first option of a fork is free."""

    name: str
    faults: int = 0
    switches: int = 0


@dataclass(frozen=True, slots=True)
class Budget:
    """The faults that a run may contain, and the switches away from a runnable worker."""

    faults: int
    switches: int

    def after(self, option: Option) -> Budget:
        """Return the budget that remains after this option."""
        return Budget(self.faults - option.faults, self.switches - option.switches)

    def holds(self, option: Option) -> bool:
        """Whether the budget covers the option."""
        return option.faults <= self.faults and option.switches <= self.switches


class Guide(Protocol):
    """Chooses options; `left` is the remaining budget; `taken` names the non-default choices."""

    left: Budget
    taken: list[str]

    def choose(self, where: str, options: Sequence[Option]) -> str:
        """Return the name of one of the options."""
        ...


@dataclass(slots=True)
class Path:
    """Depth-first: follows `turns`, then takes each fork's first option, and records the forks."""

    left: Budget
    turns: list[int] = field(default_factory=list)
    widths: list[int] = field(default_factory=list)
    taken: list[str] = field(default_factory=list)

    def choose(self, where: str, options: Sequence[Option]) -> str:
        open_to = [option for option in options if self.left.holds(option)]
        if len(open_to) == 1:
            return open_to[0].name
        depth = len(self.widths)
        if depth == len(self.turns):
            self.turns.append(0)
        self.widths.append(len(open_to))
        chosen = open_to[self.turns[depth]]
        if chosen is not open_to[0]:
            self.taken.append(f"{where}: {chosen.name}")
        self.left = self.left.after(chosen)
        return chosen.name

    def next_turns(self) -> list[int] | None:
        """Return the turns of the next path in depth-first order, or None after the last."""
        for depth in reversed(range(len(self.widths))):
            if self.turns[depth] + 1 < self.widths[depth]:
                return [*self.turns[:depth], self.turns[depth] + 1]
        return None


@dataclass(slots=True)
class Drawn:
    """Random by seed: leaves the default now and then, until the budget is spent."""

    left: Budget
    seed: int
    taken: list[str] = field(default_factory=list)
    dice: random.Random = field(init=False)
    rate: float = field(init=False)

    def __post_init__(self) -> None:
        self.dice = random.Random(self.seed)
        self.rate = self.dice.choice((0.05, 0.15, 0.3))

    def choose(self, where: str, options: Sequence[Option]) -> str:
        open_to = [option for option in options if self.left.holds(option)]
        if len(open_to) == 1 or self.dice.random() > self.rate:
            return open_to[0].name
        chosen = self.dice.choice(open_to[1:])
        self.taken.append(f"{where}: {chosen.name}")
        self.left = self.left.after(chosen)
        return chosen.name
