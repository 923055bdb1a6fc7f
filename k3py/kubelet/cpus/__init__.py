"""CPUs of their own for containers of Guaranteed pods (the static policy of the CPU manager)."""
