"""Controllers that change how many pods there are."""
