"""How plugins of the kubelet (CSI, dynamic resources, devices) make themselves known: sockets in a folder, and a handshake."""
