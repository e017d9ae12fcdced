"""Tests that need no server and open no socket."""
