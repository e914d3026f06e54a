"""Keep your CloudTruth webhooks in sync with YAML in git."""

__version__ = "0.1.0"
