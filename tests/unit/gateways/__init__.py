"""Tests of the gateways over faked HTTP."""
