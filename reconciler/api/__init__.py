"""The only folder that speaks HTTP: to CloudTruth, GitHub and Slack.

`connect` opens CloudTruth; `transport` is what the others build on. Nothing is imported here, so
that a command which makes no request does not pay for the HTTP library.
"""

from __future__ import annotations
