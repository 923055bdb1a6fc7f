"""gRPC over k3py's own HTTP/2: a server and a channel for messages as bytes."""
