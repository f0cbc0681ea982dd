"""``python -m fastbook_cli`` is the ``fastbook`` command."""

from fastbook_cli.entry import main

if __name__ == "__main__":
    main()
