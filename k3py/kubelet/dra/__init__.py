"""Dynamic resource allocation on the node: drivers prepare claimed devices for pods."""
