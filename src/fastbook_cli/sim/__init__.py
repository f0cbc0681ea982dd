"""A simulated market: agents that trade, a headless driver and a live one, and what comes of it."""
