"""``server.files.*``: what is in the roots, and what clients do with it."""
