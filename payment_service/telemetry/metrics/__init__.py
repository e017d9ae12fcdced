"""What is counted: names, who counts, and where Prometheus asks for it."""
