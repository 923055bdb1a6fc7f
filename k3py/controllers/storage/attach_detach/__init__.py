"""Attaches volumes of CSI drivers to the nodes of the pods that use them, and detaches them behind the last one."""
