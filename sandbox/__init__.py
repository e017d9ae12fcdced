"""A local implementation of Stripe's PaymentIntents API, for tests and for use without an account.

It runs as a separate process. It is not Stripe, and no money moves. The layers, outermost first:

    __main__ → command_line → http_server ─┬→ transport_faults   lost, cut and slow responses
                                           ├→ control            /_sandbox/: state, faults, clock
                                           ├→ webhooks           signed Events, with retries
                                           └→ core               one request in, one response out
    core → admission (authentication → limiter → parameters) → idempotency → execution
    execution → endpoints → lifecycle, listing, search → ledger
"""
