"""Authentication and authorization: clients, operators, order tokens, API keys and webhook secrets.

Independent of Flask.
"""
