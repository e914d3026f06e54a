"""Read, validate and explain configuration files, and build the desired configuration."""
