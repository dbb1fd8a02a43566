"""One module per engine: what can be launched."""
