import os
import sys

import httpx

sid, token = os.environ["TWILIO_ACCOUNT_SID"], os.environ["TWILIO_AUTH_TOKEN"]
response = httpx.post(
    f"https://api.twilio.com/2010-04-01/Accounts/{sid}/Messages.json",
    auth=(sid, token),
    data={"From": os.environ["TWILIO_PHONE_NUMBER"], "To": "+15005550006", "Body": sys.argv[1]},
)
response.raise_for_status()
print("reached", response.json()["sid"])
