"""The machine: what it is, its services, its power, its devices."""
