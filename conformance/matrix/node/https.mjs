import https from "node:https";

const { TWILIO_ACCOUNT_SID: sid, TWILIO_AUTH_TOKEN: token } = process.env;
const request = https.request(
  `https://api.twilio.com/2010-04-01/Accounts/${sid}/Messages.json`,
  {
    method: "POST",
    auth: `${sid}:${token}`,
    headers: { "Content-Type": "application/x-www-form-urlencoded" },
  },
  async (response) => {
    const message = JSON.parse((await response.toArray()).join(""));
    if (response.statusCode !== 201) throw new Error(message.message);
    console.log("reached", message.sid);
  },
);
request.end(
  new URLSearchParams({
    From: process.env.TWILIO_PHONE_NUMBER,
    To: "+15005550006",
    Body: process.argv[2],
  }).toString(),
);
