"""A stand-in for PayPal's Orders v2. It is not PayPal, and no money moves."""
