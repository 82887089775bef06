"""One file per noun; each gives ``command``, and a plain function that does the work."""
