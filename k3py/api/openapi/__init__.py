"""OpenAPI v2 and v3 documents of the served kinds, for kubectl explain, apply and Helm. Built when asked for, never kept here."""
