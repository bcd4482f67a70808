"""The features, one module or package each, endpoints beside their logic."""
