"""``python -m fastbook_server`` is the ``fastbook`` command, as the distribution declares it."""

from importlib.metadata import entry_points

if __name__ == "__main__":
    (command,) = entry_points(group="console_scripts", name="fastbook")
    command.load()()
