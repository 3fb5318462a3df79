import base64
import json
import os
import sys
from urllib.parse import urlencode
from urllib.request import Request, urlopen

sid, token = os.environ["TWILIO_ACCOUNT_SID"], os.environ["TWILIO_AUTH_TOKEN"]
form = {"From": os.environ["TWILIO_PHONE_NUMBER"], "To": "+15005550006", "Body": sys.argv[1]}
request = Request(
    f"https://api.twilio.com/2010-04-01/Accounts/{sid}/Messages.json",
    data=urlencode(form).encode(),
    headers={"Authorization": "Basic " + base64.b64encode(f"{sid}:{token}".encode()).decode()},
)
with urlopen(request) as response:
    print("reached", json.load(response)["sid"])
