"""Find, start, supervise and stop a private PostgreSQL."""
