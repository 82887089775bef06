"""The scripts that complete telex in bash, zsh and fish, made from the Click tree; no command line is completed here.

At a Tab the shell runs nothing but its own builtins: commands and options are in the script, and names are in
the plain lists that ``provider_core.catalog`` keeps in the cache folder.
"""
