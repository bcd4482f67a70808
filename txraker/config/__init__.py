"""Pure: Moonraker's INI dialect, parsed into typed options; a thin shell reads the files."""
