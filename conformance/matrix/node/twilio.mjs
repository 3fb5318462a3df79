import twilio from "twilio";

const client = twilio(process.env.TWILIO_ACCOUNT_SID, process.env.TWILIO_AUTH_TOKEN);
const message = await client.messages.create({
  from: process.env.TWILIO_PHONE_NUMBER,
  to: "+15005550006",
  body: process.argv[2],
});
console.log("reached", message.sid);
