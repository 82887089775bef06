"""One chat turn at a time, or several models at once; and the library's connections and conversations."""
