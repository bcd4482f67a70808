"""Measures txraker and Moonraker side by side, each on a virtual printer of its own."""
