"""Which way to go at each fork of a run: all ways within a budget, or ways drawn by seed."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Option:
    """One way to go on. The first of a fork's options costs nothing."""

    name: str
    faults: int = 0
    switches: int = 0


@dataclass(frozen=True, slots=True)
class Budget:
    """How many faults, and how many switches from a worker that could go on, a run may hold."""

    faults: int
    switches: int

    def after(self, option: Option) -> Budget:
        """What is left of it once this option is taken."""
        return Budget(self.faults - option.faults, self.switches - option.switches)

    def holds(self, option: Option) -> bool:
        """Whether the option can be paid for."""
        return option.faults <= self.faults and option.switches <= self.switches


class Guide(Protocol):
    """Chooses; `left` is what of its budget remains; `taken` names what was not the default."""

    left: Budget
    taken: list[str]

    def choose(self, where: str, options: Sequence[Option]) -> str:
        """Return the name of one of the options."""
        ...


@dataclass(slots=True)
class Path:
    """Depth first: follows `turns`, then the first option of every fork, and notes the forks."""

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
        """The turns of the next path in depth-first order; None after the last."""
        for depth in reversed(range(len(self.widths))):
            if self.turns[depth] + 1 < self.widths[depth]:
                return [*self.turns[:depth], self.turns[depth] + 1]
        return None


@dataclass(slots=True)
class Drawn:
    """At random, by seed: leaves the default now and then, until the budget is used up."""

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
