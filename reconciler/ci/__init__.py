"""What `webhooks ci` does on GitHub: the event, the comment, the review, the drift issue.

Each command is a function from a `Run` (what to do, what can be reached) to an `Outcome` (what is
to be printed and written). Nothing here prints, exits or reads the process environment.
"""
