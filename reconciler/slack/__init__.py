"""The Slack app that posts the messages: its manifest, and checks that it can post."""
