"""``txraker doctor``: what is missing on this machine, and the command that mends it.

Each module knows one matter: its facts, the reader that gathers them, and the pure function that judges them.
"""
