"""``access.*``: who may use the server."""
