# `memory_history.py` is compiled too: a query looks at every event that is held.
