"""The contract of the key stores, held against real databases."""
