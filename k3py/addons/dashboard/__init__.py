"""A place to look: a page at /ui, served from files of this package, that talks to the API with its reader's own token."""
