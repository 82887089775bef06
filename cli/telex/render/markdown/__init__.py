"""Markdown as rows of a terminal: the parser, its elements drawn by Rich, and the layout that decides what is final."""
