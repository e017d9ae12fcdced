"""Payment providers: the gateway contract, and one folder for each provider."""
