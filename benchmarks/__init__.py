"""Benchmarks of the engine; `make bench` runs them all."""
