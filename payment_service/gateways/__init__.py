"""Payment providers: the contract they fulfil, and a folder for each."""
