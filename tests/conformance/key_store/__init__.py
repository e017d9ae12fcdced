"""The contract of the key stores, tested on real databases."""
