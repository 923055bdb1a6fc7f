"""The managed etcd of `--cluster-init`: the real program as a child process, a member for each server (spec/k3s.md §4.8)."""
