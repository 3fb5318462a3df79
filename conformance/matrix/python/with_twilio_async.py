import asyncio
import os
import sys

from twilio.http.async_http_client import AsyncTwilioHttpClient
from twilio.rest import Client


async def main():
    async with AsyncTwilioHttpClient() as http_client:
        client = Client(
            os.environ["TWILIO_ACCOUNT_SID"],
            os.environ["TWILIO_AUTH_TOKEN"],
            http_client=http_client,
        )
        message = await client.messages.create_async(
            from_=os.environ["TWILIO_PHONE_NUMBER"], to="+15005550006", body=sys.argv[1]
        )
        print("reached", message.sid)


asyncio.run(main())
