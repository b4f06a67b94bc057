"""Cameras and streams: read at the same time, segmented by one model, reconnected when they are lost."""
