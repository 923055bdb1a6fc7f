"""The tunnel: connections from servers to the networks of agents, over connections that agents opened."""
