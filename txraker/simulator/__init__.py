"""A virtual printer that speaks Klippy's API over a unix socket."""
