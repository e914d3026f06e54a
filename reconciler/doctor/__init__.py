"""Why it does not work here: settings, network, CloudTruth, files and CI, looked at one by one.

Nothing is changed anywhere. What a check says of itself holds no key, no secret and no name of
anything live; those are asides, which only the screen shows.
"""
