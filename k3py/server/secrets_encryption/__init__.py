"""Keys of Secrets at rest: their files, their rotation, and the endpoint that `k3py secrets-encrypt` asks."""
