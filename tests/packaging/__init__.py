"""Published archives and their installation."""
