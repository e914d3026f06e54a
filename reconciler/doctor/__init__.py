"""The checks of `webhooks doctor`: settings, files, network, CloudTruth.

Nothing is changed anywhere. `detail` and `fix` of a check hold no key, secret, host or live name,
so that the JSON can be pasted into a bug report; what only the screen may show is in `aside`.
"""
