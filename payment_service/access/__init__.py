"""Who may ask, and for which order: tokens, API keys and clients; no Flask, no SDK, no store."""
