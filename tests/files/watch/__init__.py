"""Tests of watching files."""
