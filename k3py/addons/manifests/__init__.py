"""The manifests folder: files in it are applied to the cluster, as K3s does it (spec P-01 to P-09)."""
