"""Repair what a crash, a lost webhook or a late PaymentIntent left behind."""
