"""Slack's side: the app that deliveries speak through, and whether it can."""
