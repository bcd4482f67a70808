"""What outlives a restart, and what must not be lost."""
