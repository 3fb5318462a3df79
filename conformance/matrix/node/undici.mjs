import { request } from "undici";

const { TWILIO_ACCOUNT_SID: sid, TWILIO_AUTH_TOKEN: token } = process.env;
const { statusCode, body } = await request(
  `https://api.twilio.com/2010-04-01/Accounts/${sid}/Messages.json`,
  {
    method: "POST",
    headers: {
      Authorization: `Basic ${btoa(`${sid}:${token}`)}`,
      "Content-Type": "application/x-www-form-urlencoded",
    },
    body: new URLSearchParams({
      From: process.env.TWILIO_PHONE_NUMBER,
      To: "+15005550006",
      Body: process.argv[2],
    }).toString(),
  },
);
const message = await body.json();
if (statusCode !== 201) throw new Error(message.message);
console.log("reached", message.sid);
