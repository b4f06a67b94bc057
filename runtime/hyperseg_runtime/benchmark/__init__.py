"""Honest frame rates: named protocols, interleaved models, spread and confidence beside every figure."""
