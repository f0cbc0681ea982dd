"""``fastbook demo``: a server, a market on it and a live view, in one process."""
