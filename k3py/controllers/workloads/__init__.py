"""Controllers of workloads: ReplicaSet, Deployment."""
