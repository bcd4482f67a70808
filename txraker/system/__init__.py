"""What txraker asks of the machine it runs on."""
