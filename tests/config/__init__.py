"""Tests of txraker.config."""
