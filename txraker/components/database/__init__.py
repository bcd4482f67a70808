"""``server.database.*`` and ``debug.database.*``: what clients keep, and the file it is in."""
