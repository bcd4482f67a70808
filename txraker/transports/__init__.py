"""How clients reach the API: HTTP, JSON-RPC over HTTP, websocket."""
