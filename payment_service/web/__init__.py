"""HTTP's parts: who is let in, what is asked, which routes there are, what an error looks like."""
