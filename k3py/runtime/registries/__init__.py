"""Image registries as registries.yaml describes them (P-70 to P-73): mirrors, TLS, credentials, rewritten names."""
