"""Volumes of drivers that speak the Container Storage Interface: drivers of the node, and what they stage and publish for pods."""
