"""The room for prompts that are kept: files with a model, a system prompt, a prompt with variables, and parameters.

Nothing in a template is ever run: a variable stands for text, and that text is not looked at again.
"""

from provider_core.templates._fill import Filled, fill, variables
from provider_core.templates._load import SUFFIXES, Template, find, load, names, parse

__all__ = ["SUFFIXES", "Filled", "Template", "fill", "find", "load", "names", "parse", "variables"]
