"""Checked values: struct fields that are validated one by one, and text that never shows."""
