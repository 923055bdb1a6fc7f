"""Sans-I/O codecs of the protocols that k3py speaks."""
