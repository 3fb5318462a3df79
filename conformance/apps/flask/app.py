import os

from dotenv import load_dotenv
from flask import Flask, abort, request
from twilio.request_validator import RequestValidator
from twilio.rest import Client
from twilio.twiml.messaging_response import MessagingResponse

load_dotenv()

app = Flask(__name__)
client = Client(os.environ["TWILIO_ACCOUNT_SID"], os.environ["TWILIO_AUTH_TOKEN"])
validator = RequestValidator(os.environ["TWILIO_AUTH_TOKEN"])


@app.get("/send")
def send():
    message = client.messages.create(
        from_=os.environ["TWILIO_PHONE_NUMBER"],
        to=request.args["to"],
        body="Your order is on its way",
    )
    return message.sid


@app.post("/sms")
def sms():
    signature = request.headers.get("X-Twilio-Signature", "")
    if not validator.validate(request.url, request.form, signature):
        abort(403)
    response = MessagingResponse()
    response.message(f"You said: {request.form['Body']}")
    return str(response), {"Content-Type": "text/xml"}


if __name__ == "__main__":
    app.run(port=int(os.environ.get("PORT", 5000)))
