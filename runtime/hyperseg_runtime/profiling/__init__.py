"""Where the time goes inside a network."""
