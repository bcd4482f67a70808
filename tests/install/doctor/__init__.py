"""Tests of what `txraker doctor` finds."""
