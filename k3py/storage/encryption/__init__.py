"""Encryption at rest: documents are sealed on their way to the datastore, by the keys of an EncryptionConfiguration."""
