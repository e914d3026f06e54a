"""An emulator of the CloudTruth API: as published, and the most likely behavior where it is
undocumented.

It serves `--local`, tests and simulations. It shares no code with the client, so that tests of the
client are independent. Only the command line and tests import it.
"""
