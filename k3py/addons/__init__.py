"""What a cluster gets on top: manifests folder and packaged components."""
