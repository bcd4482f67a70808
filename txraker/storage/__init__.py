"""What outlives a restart: one SQLite file a printer, and the thread that works on it."""
