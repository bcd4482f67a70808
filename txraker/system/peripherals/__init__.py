"""What is plugged into the machine, and can be asked for: USB, serial ports, cameras, the CAN bus."""
