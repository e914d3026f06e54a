"""Documents are compared with what the program does."""
