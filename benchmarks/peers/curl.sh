#!/bin/sh
# Create webhooks with one curl each, from a file with one body per line: curl.sh FILE
while IFS= read -r body; do
  curl -sf -o /dev/null -H 'Content-Type: application/json' -d "$body" \
    "$CLOUDTRUTH_SERVER_URL/api/v1/webhooks/" || exit 1
done < "$1"
