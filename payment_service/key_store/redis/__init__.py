"""The Redis store, with its Lua scripts beside it."""
