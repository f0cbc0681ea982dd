"""A market in a terminal: the state shown, its drawing, and ``fastbook top``."""
