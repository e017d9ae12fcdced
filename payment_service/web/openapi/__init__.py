"""The API's description: GET /openapi.json, and GET /docs for people."""
