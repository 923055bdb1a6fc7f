"""Controllers that end the life of objects: namespaces, garbage collection."""
