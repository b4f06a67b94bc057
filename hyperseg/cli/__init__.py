"""Command line of training: hyperseg-train."""
