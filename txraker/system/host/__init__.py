"""The machine we run on: what it is, and what it is doing now. Everything is read below a given root."""
