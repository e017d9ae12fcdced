"""The record of an order: its states, its transitions and its history."""
