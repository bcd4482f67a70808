"""Moving in: from a real Moonraker to txraker and back, on a machine with a systemd and users of its own."""
