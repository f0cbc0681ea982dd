"""``fastbook config``: the settings of the server, which of them are in force, and why."""
