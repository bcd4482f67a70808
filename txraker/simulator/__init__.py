"""A virtual 3D printer that speaks Klippy's API on a unix socket, for demos, front-end work and tests.

The core is pure: time is passed in and messages go out through callables (:mod:`.host` is its front).
:mod:`.service` is the thin shell with the socket and the clock.
"""
