"""Orders after creation: status, lists, update, cancellation, release and the gateways' events."""
