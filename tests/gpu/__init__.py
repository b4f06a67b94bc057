"""Tests that need a GPU: `pytest -m gpu`. Reported as skipped without one."""
