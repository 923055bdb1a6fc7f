"""The service proxy: what services and endpoint slices say, as nftables rules."""
