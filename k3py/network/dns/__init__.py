"""Cluster DNS: names of services and pods, from the caches that the node has anyway; other names are asked upstream."""
