"""Custom resources at run time: CustomResourceDefinitions become kinds of the registry, and go with their objects."""
