"""What web pages in a real browser can do to a server, and what they can't."""
