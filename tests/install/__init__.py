"""Tests of what is done to the machine."""
