"""`webhooks ci` on GitHub: the event, the comment, the review, the drift issue.

Each command is a function from a `Run` (the task and its connections) to a `JobResult` (the output
to print and write). Nothing here prints, exits or reads the process environment.
"""
