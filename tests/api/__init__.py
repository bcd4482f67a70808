"""Tests of how endpoints are declared, decoded and dispatched."""
