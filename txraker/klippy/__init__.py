"""The conversation with Klippy: pure framing, session and subscription cores; a thin shell around them."""
