"""``fastbook doctor``: what would keep a server from starting or serving, and the cure of each."""
