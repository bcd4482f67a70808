"""What gcode files say about themselves: read by a process of its own, kept in the database."""
