"""What the service says of itself: GET /openapi.json, and a page for people."""
