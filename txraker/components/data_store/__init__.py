"""What was lately measured and said: kept in memory, gone with the server."""
