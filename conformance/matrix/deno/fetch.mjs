const sid = Deno.env.get("TWILIO_ACCOUNT_SID");
const token = Deno.env.get("TWILIO_AUTH_TOKEN");
const response = await fetch(`https://api.twilio.com/2010-04-01/Accounts/${sid}/Messages.json`, {
  method: "POST",
  headers: { Authorization: `Basic ${btoa(`${sid}:${token}`)}` },
  body: new URLSearchParams({
    From: Deno.env.get("TWILIO_PHONE_NUMBER"),
    To: "+15005550006",
    Body: Deno.args[0],
  }),
});
const message = await response.json();
if (!response.ok) throw new Error(message.message);
console.log("reached", message.sid);
