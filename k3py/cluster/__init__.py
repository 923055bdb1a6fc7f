"""How nodes and servers come together: tokens, join, tunnel."""
