"""Create the PaymentIntent of an order once."""
