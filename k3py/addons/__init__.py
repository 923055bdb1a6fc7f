"""What K3s ships as add-ons, here parts of the process."""
