"""Encoders: image -> features F_1..F_5 and the map that feeds the context head (paper, Eq. 1)."""
