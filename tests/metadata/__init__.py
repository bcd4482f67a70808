"""Tests of txraker.metadata."""
