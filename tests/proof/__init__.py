"""The proof of the promise: explorer, chaos, soak and the incidents of others."""
