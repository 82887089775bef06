"""A chat from the options of the command line to its exit code."""
