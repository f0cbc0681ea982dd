"""What the engine is measured with; `make bench` runs it all."""
