"""``python -m fastbook_server`` is the ``fastbook`` command."""

from fastbook_server.cli import main

if __name__ == "__main__":
    main()
