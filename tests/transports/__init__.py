"""How clients are connected."""
