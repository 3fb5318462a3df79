import os
import sys

import aiohttp
import uvloop

sid, token = os.environ["TWILIO_ACCOUNT_SID"], os.environ["TWILIO_AUTH_TOKEN"]


async def main():
    form = {"From": os.environ["TWILIO_PHONE_NUMBER"], "To": "+15005550006", "Body": sys.argv[1]}
    login = {"Authorization": aiohttp.encode_basic_auth(sid, token)}
    async with aiohttp.ClientSession(headers=login) as session:
        url = f"https://api.twilio.com/2010-04-01/Accounts/{sid}/Messages.json"
        async with session.post(url, data=form, raise_for_status=True) as response:
            print("reached", (await response.json())["sid"])


uvloop.run(main())
