"""Background jobs: deliver order events, look for late PaymentIntents and approvals, make witnesses
and complete the lists of orders.
"""
