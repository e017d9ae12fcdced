"""What things cost: each module is a program that prints a table."""
