"""Training by recipes (HyperSeg, Sec. 4.1)."""
