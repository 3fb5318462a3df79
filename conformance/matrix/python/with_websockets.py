import asyncio

from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus


async def main():
    try:
        async with connect("wss://tsock.us1.twilio.com/v3/wsconnect"):
            print("reached 101")
    except InvalidStatus as refused:
        print("reached", refused.response.status_code, refused.response.body[:60].decode())


asyncio.run(main())
