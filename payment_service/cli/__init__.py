"""The commands of `flask --app stripe_back_end_api` and of `payment-service`."""
