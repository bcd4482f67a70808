"""One suite for each interface, run on all that provide it."""
