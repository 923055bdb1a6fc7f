"""Objects of resource.k8s.io: names and selectors that all share, claims, slices.

Source: kubernetes/pkg/apis/resource/validation/validation.go v1.35.
"""
