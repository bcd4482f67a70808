"""Who may: passwords, tokens, keys, and what a caller is known by."""
