"""Pure: how an endpoint is declared, decoded, dispatched and described."""
