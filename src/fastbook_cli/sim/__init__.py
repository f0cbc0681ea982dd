"""A simulated market: agents, a headless driver and a live one, and statistics of the outcome."""
