"""``fastbook cluster demo``: a whole cluster on one machine, whose parts one may kill."""
