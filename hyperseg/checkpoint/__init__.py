"""Checkpoints: the published files and ours, read as data only."""
