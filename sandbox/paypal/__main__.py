"""`python -m sandbox.paypal`."""

import sys

from sandbox.paypal.command_line import run

sys.exit(run())
