"""Backends: the ways to run a model file. `protocol` says what one is, `selection` which one is taken."""
