"""Training by recipes (paper, Sec. 4.1)."""
