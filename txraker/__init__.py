"""An API server for Klipper printers on Twisted; Moonraker's API on the wire."""

__version__ = "0.1.0"
