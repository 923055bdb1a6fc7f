"""Volumes of pods: one kind a file, put in order by `volumes.manager`."""
