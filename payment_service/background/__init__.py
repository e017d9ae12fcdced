"""Background jobs: deliver order events and look for late PaymentIntents."""
