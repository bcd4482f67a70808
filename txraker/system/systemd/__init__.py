"""systemd over the system bus. Imported only where the configuration asks for it: it brings txdbus."""
