"""Controllers of the network: EndpointSlices."""
