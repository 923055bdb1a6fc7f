"""Network policies: which pods may talk to which, as nftables rules of a table of their own."""
