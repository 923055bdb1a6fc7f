"""Making room for important pods by ending less important ones."""
