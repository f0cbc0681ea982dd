"""``fastbook gateway``, ``matcher``, ``recorder`` and ``cluster``: more than one machine."""
