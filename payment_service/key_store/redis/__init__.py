"""The Redis store and its Lua scripts."""
