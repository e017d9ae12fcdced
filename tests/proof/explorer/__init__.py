"""Runs the real code for all who touch one order under every schedule within bounds.

    python -m tests.proof.explorer --minutes 10

choices.py   which way to go at each fork, exhaustively or by seed
world.py     one order, its store, its Stripe, its clock and its scheduler
actors.py    who asks for it, updates it, cancels it, walks or looks after it
wires.py     the store and the connection to Stripe, cut into steps that can go wrong
judge.py     what must hold after every step and at the end
scenario.py  one scenario; scenarios.py where a run begins
gated_*.py   the second gateway: its stand-in, actors, wires, invariants, scenarios and mutants
mutants.py   the rules, broken one by one
search.py    runs every schedule, and counts
"""
