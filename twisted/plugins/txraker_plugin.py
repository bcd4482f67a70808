"""Makes ``twistd txraker`` known."""

from twisted.application.service import ServiceMaker

txraker = ServiceMaker("txraker", "txraker.tap", "The API server for Klipper 3D printers.", "txraker")
