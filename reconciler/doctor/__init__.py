"""The checks of `webhooks doctor`: settings, files, network, CloudTruth.

The checks are read-only, except the probe. `detail` and `fix` of a check contain no key, secret,
host or live name, so that the JSON can be pasted into a bug report; details for the screen only are
in `private`.
"""
