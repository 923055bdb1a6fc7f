"""The etcd v3 gRPC face of a `Backend`: one RPC or service a file, served by `server`."""
