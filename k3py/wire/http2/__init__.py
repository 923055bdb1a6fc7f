"""HTTP/2 for gRPC: one end of a connection, sans I/O."""
