const { TWILIO_ACCOUNT_SID: sid, TWILIO_AUTH_TOKEN: token } = process.env;
const response = await fetch(`https://api.twilio.com/2010-04-01/Accounts/${sid}/Messages.json`, {
  method: "POST",
  headers: { Authorization: `Basic ${btoa(`${sid}:${token}`)}` },
  body: new URLSearchParams({
    From: process.env.TWILIO_PHONE_NUMBER,
    To: "+15005550006",
    Body: process.argv[2],
  }),
});
const message = await response.json();
if (!response.ok) throw new Error(message.message);
console.log("reached", message.sid);
