"""In-memory providers of txraker's interfaces, for its tests and for yours."""
