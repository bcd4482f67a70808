"""Passwords, tokens and who somebody is."""
