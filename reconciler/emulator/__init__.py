"""An emulated CloudTruth: the API as far as it is published, and one behaviour where it is not.

For: trying the product out without an account, tests and simulations.
Promises: an independent witness; it shares no code with the client that it judges.
Refuses: to be imported by anything but the command line and tests.
"""
