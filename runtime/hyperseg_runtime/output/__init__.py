"""What a run leaves behind: rendered pictures, labels, statistics."""
