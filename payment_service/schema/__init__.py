"""Checked values: structs validated field by field, and secrets that never show in logs."""
