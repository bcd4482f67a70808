"""Tests of the conversation with Klippy."""
