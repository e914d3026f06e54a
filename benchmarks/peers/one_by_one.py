"""Create webhooks one after the other with one httpx.Client, without planning.

one_by_one.py COUNT
"""

import os
import sys

import httpx

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
from benchmarks.data import body

with httpx.Client(base_url=os.environ["CLOUDTRUTH_SERVER_URL"]) as client:
    for number in range(int(sys.argv[1])):
        client.post("/api/v1/webhooks/", json=body(number)).raise_for_status()
