"""The whole server, driven by recorded conversations with a real Klippy over real sockets."""
