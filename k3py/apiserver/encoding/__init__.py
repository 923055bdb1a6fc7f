"""Media types: which one the client asked for, how bodies are read and answers are written."""
