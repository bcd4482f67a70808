"""Tests of ``txraker.files``."""
