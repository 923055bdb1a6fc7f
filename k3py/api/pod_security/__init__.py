"""Pod security standards: which pods each level lets in, and the labels by which a namespace chooses a level."""
