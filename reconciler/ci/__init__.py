"""What `webhooks ci` does on GitHub: the event, the comment, the approval, the drift issue.

Everything that decides is a pure function over values; `flow` carries it out and returns what is
to be printed and written. Nothing here prints, exits or reads the process environment.
"""
