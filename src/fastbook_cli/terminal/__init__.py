"""A market in a terminal: what is shown, how it is drawn, and ``fastbook top``."""
