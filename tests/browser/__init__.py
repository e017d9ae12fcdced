"""The demo's pages in a real browser."""
