"""What ``python -m benchmarks.bench_database`` measures: the store over volume, and over years."""
