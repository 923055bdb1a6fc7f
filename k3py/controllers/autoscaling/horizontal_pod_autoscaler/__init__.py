"""Scales workloads by metrics. Source: kubernetes/pkg/controller/podautoscaler v1.35."""
