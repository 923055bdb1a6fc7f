"""The Kubernetes API as seen by controllers, scheduler and kubelet, in-process or over HTTPS."""
