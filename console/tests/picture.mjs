// The picture of the console in the README: `cargo xtask console picture`.

import { mkdirSync } from "node:fs";
import { browser, platform, tab, until } from "./support.mjs";

const PLACE = "docs/images";
const ADA = "+14155550123";
const GRACE = "+14155550188";
const SANDBOX = "whatsapp:+14155238886";

const chrome = await browser();
const world = await platform();
const page = await tab(chrome, world.url, { viewport: { width: 1180, height: 760 } });
const type = (number, to, body) => world.own(`/handsets/${number}/messages`, "POST", { to, body });
const shown = (number, count) =>
  until(async () => (await world.own(`/handsets/${number}/messages`)).messages.length >= count);

await world.own(`/handsets/${ADA}`, "PUT", { name: "Ada" });
await world.own(`/handsets/${GRACE}`, "PUT", { name: "Grace" });
await world.own("/handsets/+14155550144", "PUT", { name: "The old phone", behaviour: "off" });
await world.send({ To: ADA, Body: "Your order 1042 is on its way. Reply ETA for a time." });
await shown(ADA, 1);
await type(ADA, world.env.phone_number, "ETA");
await world.send({ To: ADA, Body: "Today between 14:00 and 15:00." });
await shown(ADA, 3);
await type(GRACE, SANDBOX, (await world.own("/sandbox")).join);
await shown(GRACE, 2);
const login = Buffer.from(`${world.env.account_sid}:${world.env.auth_token}`).toString("base64");
const content = await fetch(`${world.url}/_/content/v1/Content`, {
  method: "POST",
  headers: { Authorization: `Basic ${login}`, "Content-Type": "application/json" },
  body: JSON.stringify({
    friendly_name: "table",
    language: "en",
    types: {
      "twilio/quick-reply": {
        body: "A table for two at seven?",
        actions: [
          { type: "QUICK_REPLY", title: "Yes, please", id: "yes" },
          { type: "QUICK_REPLY", title: "Another day", id: "no" },
        ],
      },
    },
  }),
});
const { sid } = await content.json();
await world.send({ From: SANDBOX, To: `whatsapp:${GRACE}`, ContentSid: sid });
await shown(GRACE, 3);
const call = await fetch(
  `${world.url}/_/api/2010-04-01/Accounts/${world.env.account_sid}/Calls.json`,
  {
    method: "POST",
    headers: { Authorization: `Basic ${login}` },
    body: new URLSearchParams({
      To: ADA,
      From: world.env.phone_number,
      Twiml: `<Response><Gather timeout="60"><Say>Your parcel is here. Press one to have it brought
        up.</Say></Gather></Response>`,
    }),
  },
);
if (!call.ok) throw new Error(await call.text());
await until(async () => {
  const { calls } = await world.own(`/handsets/${ADA}/calls`);
  return calls[0]?.heard.length > 0;
});
await page.goto(`${world.url}/?open=${encodeURIComponent(`${ADA},${GRACE}`)}`);
await page.getByRole("button", { name: "Yes, please" }).click();
await page.getByText("live", { exact: true }).waitFor();
await page.waitForTimeout(600);
mkdirSync(PLACE, { recursive: true });
await page.screenshot({ path: `${PLACE}/console.png` });
await chrome.close();
await world.end();
