"""The folders that clients may look into: their names, what is in them, what changes there."""
