"""Shell completion: the scripts for bash, zsh and fish, and their installation.

When Tab is pressed, the scripts run only builtins of the shell. Commands and options are part of the script; names are
read from the files of ``completion_cache``.
"""

FILES = {"bash": "telex.bash", "zsh": "_telex", "fish": "telex.fish"}
"""Shell -> the name of its script in the folder ``completions``."""
