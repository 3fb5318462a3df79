import express from "express";
import twilio from "twilio";

const app = express();
const client = twilio(process.env.TWILIO_ACCOUNT_SID, process.env.TWILIO_AUTH_TOKEN);

app.get("/send", async (request, response) => {
  const message = await client.messages.create({
    from: process.env.TWILIO_PHONE_NUMBER,
    to: request.query.to,
    body: "Your order is on its way",
  });
  response.send(message.sid);
});

// The middleware answers 403 when the signature is wrong, 400 when there is none.
app.post("/sms", express.urlencoded({ extended: false }), twilio.webhook(), (request, response) => {
  const twiml = new twilio.twiml.MessagingResponse();
  twiml.message(`You said: ${request.body.Body}`);
  response.type("text/xml").send(twiml.toString());
});

app.listen(process.env.PORT ?? 3000, "127.0.0.1");
