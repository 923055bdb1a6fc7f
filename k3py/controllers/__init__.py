"""Level-based controllers, one file each."""
