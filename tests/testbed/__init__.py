"""A real systemd for tests, on a bus of its own; where there can be none, its tests are skipped."""
