"""`python -m sandbox`."""

import sys

from sandbox.command_line import run

sys.exit(run())
