"""Certificate signing requests: who is approved without a human, who signs, and when a request goes."""
