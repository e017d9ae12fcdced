"""What a payment may be and what its record says next: rules only, no Flask, no SDK, no store."""
