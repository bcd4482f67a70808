"""Cameras: what clients need to know to show them."""
