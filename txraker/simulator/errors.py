"""What can go wrong with a command or a request."""


class CommandError(Exception):
    """A gcode command failed; the text is what Klippy shows on the console and in the reply."""


class RequestError(Exception):
    """An API request failed; the text is the ``message`` of the error reply."""
