"""Every gateway is held to the same contract."""
