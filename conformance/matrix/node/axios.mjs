import axios from "axios";

const { TWILIO_ACCOUNT_SID: sid, TWILIO_AUTH_TOKEN: token } = process.env;
const response = await axios.post(
  `https://api.twilio.com/2010-04-01/Accounts/${sid}/Messages.json`,
  new URLSearchParams({
    From: process.env.TWILIO_PHONE_NUMBER,
    To: "+15005550006",
    Body: process.argv[2],
  }),
  { auth: { username: sid, password: token } },
);
console.log("reached", response.data.sid);
