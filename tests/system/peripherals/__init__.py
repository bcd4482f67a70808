"""What is plugged in, on machines that are trees of files."""
