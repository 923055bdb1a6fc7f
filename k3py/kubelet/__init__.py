"""The node agent: one task a pod, a pure sync plan, volumes, probes, streaming server."""
