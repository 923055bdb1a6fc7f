"""The pod scheduler as a framework of plugins."""
