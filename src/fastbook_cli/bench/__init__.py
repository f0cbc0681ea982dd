"""``fastbook bench``: how fast a server answers at a given rate."""
