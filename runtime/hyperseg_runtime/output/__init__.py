"""Outputs of a run: rendering, and sinks for videos, images, labels and statistics."""
