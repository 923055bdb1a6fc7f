"""Certificate authorities, leaf certificates and service-account keys."""
