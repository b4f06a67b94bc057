"""Benchmarks of models: named protocols, interleaved measurement, statistics, a record and an HTML report."""
