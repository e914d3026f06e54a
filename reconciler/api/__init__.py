"""The only folder that uses HTTP: for CloudTruth, GitHub and Slack.

`client.connect` connects to CloudTruth; all clients use `transport`. Nothing is imported here, so
that commands without requests do not load the HTTP library.
"""
