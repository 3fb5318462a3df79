// The story of SendGrid's official Node libraries as unmodified clients of Offhook.

import http from "node:http";
import sendgrid from "@sendgrid/mail";
import { EventWebhook } from "@sendgrid/eventwebhook";

const { OFFHOOK_URL } = process.env;
const KEY = `SG.${"k".repeat(22)}.${"s".repeat(43)}`;
sendgrid.setApiKey(KEY);
sendgrid.client.setDefaultRequest("baseUrl", `${OFFHOOK_URL}/`);

const seen = [];
const server = http.createServer((request, response) => {
  let text = "";
  request.on("data", (chunk) => (text += chunk));
  request.on("end", () => {
    seen.push({ headers: request.headers, text });
    response.end();
  });
});
await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
const HOOK = `http://127.0.0.1:${server.address().port}/events`;

let passed = 0;
let failed = 0;
async function check(name, step) {
  try {
    await step();
    passed += 1;
    console.log(`ok node mail: ${name}`);
  } catch (error) {
    failed += 1;
    console.log(`not ok node mail: ${name}: ${String(error.message).replace(/\s+/g, " ")}`);
  }
}

function expect(got, wanted, what) {
  const [a, b] = [JSON.stringify(got), JSON.stringify(wanted)];
  if (a !== b) throw new Error(`${what} is ${a}, not ${b}`);
}

async function until(probe, what) {
  for (let tries = 0; tries < 200; tries += 1) {
    const found = await probe();
    if (found) return found;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error(`${what}: not within ten seconds`);
}

const mailbox = (address) =>
  until(async () => {
    const answer = await fetch(`${OFFHOOK_URL}/_offhook/v1/mailboxes/${address}/mails`);
    const { mails } = await answer.json();
    return mails.length ? mails : undefined;
  }, `mail for ${address}`);

const mail = { from: { email: "shop@example.com", name: "The Shop" }, subject: "Hello", text: "Hello there" };

async function call(method, url, body) {
  const [, json] = await sendgrid.client.request({ method, url, body });
  return json;
}

await check("a mail is accepted and arrives", async () => {
  const [response] = await sendgrid.send({ ...mail, to: "nan@example.com", html: "<p>Hello</p>" });
  expect(response.statusCode, 202, "status");
  const [found] = await mailbox("nan@example.com");
  expect(found.from, "The Shop <shop@example.com>", "from");
  if (!found.id.startsWith(response.headers["x-message-id"])) throw new Error(`id is ${found.id}`);
});

await check("sendMultiple sends each a copy of their own", async () => {
  await sendgrid.sendMultiple({ ...mail, to: ["ned@example.com", "nia@example.com"] });
  expect((await mailbox("ned@example.com"))[0].to, "ned@example.com", "to");
  await mailbox("nia@example.com");
});

await check("what is wrong is named", async () => {
  try {
    await sendgrid.send({ ...mail, to: "nan@example.com", subject: "" });
  } catch (error) {
    expect(error.code, 400, "code");
    const fields = error.response.body.errors.map((one) => one.field);
    if (!fields.includes("subject")) throw new Error(`the fields are ${fields}`);
    return;
  }
  throw new Error("it was accepted");
});

await check("events are signed as the library verifies them", async () => {
  const settings = { url: HOOK, enabled: true, delivered: true, click: true };
  const made = await call("POST", "/v3/user/webhooks/event/settings", settings);
  const path = `/v3/user/webhooks/event/settings/signed/${made.id}`;
  const signed = await call("PATCH", path, { enabled: true });
  const html = '<a href="https://example.com/offer">Look</a>';
  await sendgrid.send({ ...mail, html, to: "clicks@mailbox.test", customArgs: { order: "17" } });
  const click = await until(async () => {
    const events = seen.flatMap(({ text }) => JSON.parse(text));
    return events.find((event) => event.event === "click");
  }, "a click");
  expect([click.url, click.order], ["https://example.com/offer", "17"], "the click");
  const webhook = new EventWebhook();
  const key = webhook.convertPublicKeyToECDSA(signed.public_key);
  for (const { headers, text } of seen) {
    const signature = headers["x-twilio-email-event-webhook-signature"];
    const stamp = headers["x-twilio-email-event-webhook-timestamp"];
    if (!webhook.verifySignature(key, text, signature, stamp)) throw new Error("a signature does not verify");
    if (webhook.verifySignature(key, `${text} `, signature, stamp)) throw new Error("anything verifies");
  }
});

await check("groups, suppressions and keys", async () => {
  const group = await call("POST", "/v3/asm/groups", { name: "Node news", description: "news" });
  await call("POST", `/v3/asm/groups/${group.id}/suppressions`, { recipient_emails: ["nan@example.com"] });
  const { suppressions } = await call("GET", "/v3/asm/suppressions/nan@example.com");
  expect(suppressions.find((one) => one.id === group.id).suppressed, true, "suppressed");
  const key = await call("POST", "/v3/api_keys", { name: "reader", scopes: ["stats.read"] });
  const answer = await fetch(`${OFFHOOK_URL}/v3/templates`, { headers: { authorization: `Bearer ${key.api_key}` } });
  expect(answer.status, 403, "status");
});

server.close();
console.log(`node mail: ${passed} passed, ${failed} failed`);
process.exit(failed ? 1 : 0);
