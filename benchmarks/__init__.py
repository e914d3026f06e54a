"""How fast the command is, measured against floors and against what one would use instead."""
