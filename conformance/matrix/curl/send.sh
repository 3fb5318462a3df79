#!/bin/sh
set -e
answer=$(curl --fail-with-body -sS -u "$TWILIO_ACCOUNT_SID:$TWILIO_AUTH_TOKEN" \
    "https://api.twilio.com/2010-04-01/Accounts/$TWILIO_ACCOUNT_SID/Messages.json" \
    --data-urlencode "From=$TWILIO_PHONE_NUMBER" --data-urlencode "To=+15005550006" \
    --data-urlencode "Body=$1")
echo "reached $(echo "$answer" | grep -o 'SM[0-9a-f]\{32\}' | head -1)"
