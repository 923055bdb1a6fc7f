"""What all servers of a cluster share: authorities, keys of service accounts, keys of Secrets; sealed by the token, in the datastore (J-70 to J-76)."""
