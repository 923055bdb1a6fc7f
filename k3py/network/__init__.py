"""Pod network and service proxy backends."""
