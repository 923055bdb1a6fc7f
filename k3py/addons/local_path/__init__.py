"""Volumes that are folders of nodes, as Rancher's local-path provisioner hands them out, without pods and images (P-23)."""
