"""Command lines of the runtime."""
