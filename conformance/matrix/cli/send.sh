#!/bin/sh
set -e
answer=$(twilio api:core:messages:create --from "$TWILIO_PHONE_NUMBER" --to +15005550006 \
    --body "$1" -o json)
echo "reached $(echo "$answer" | grep -o 'SM[0-9a-f]\{32\}' | head -1)"
