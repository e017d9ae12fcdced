"""Stripe's contract on this machine: a separate process, for people with no account and for tests.

Nothing here is Stripe and no money moves. Layers, from the wire inwards:

    __main__ → command_line → http_server ─┬→ transport_faults   what breaks between two machines
                                           ├→ control            /_sandbox/ : look, break, move time
                                           ├→ webhooks           signed Events, sent and sent again
                                           └→ core               one request in, one answer out
    core → admission (authentication → limiter → parameters) → idempotency → execution
    execution → endpoints → lifecycle, listing, search → ledger
"""
