import os
import sys

from twilio.rest import Client

client = Client(os.environ["TWILIO_ACCOUNT_SID"], os.environ["TWILIO_AUTH_TOKEN"])
message = client.messages.create(
    from_=os.environ["TWILIO_PHONE_NUMBER"], to="+15005550006", body=sys.argv[1]
)
print("reached", message.sid)
