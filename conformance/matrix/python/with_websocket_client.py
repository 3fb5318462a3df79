import websocket

try:
    websocket.create_connection("wss://tsock.us1.twilio.com/v3/wsconnect")
    print("reached 101")
except websocket.WebSocketBadStatusException as refused:
    print("reached", refused.status_code, refused.resp_body[:60].decode())
