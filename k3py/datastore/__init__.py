"""An etcd-like multi-version key-value store over SQL. Knows bytes and keys, no Kubernetes."""
