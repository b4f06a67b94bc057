"""Checkpoints: loading published files and our own as data only, and saving."""
