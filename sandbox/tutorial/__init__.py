"""The code that tutorials show, run beside the service so that the two can be compared."""
